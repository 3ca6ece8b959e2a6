-- A page of delayed jobs after a place, those due first first; of those due in one millisecond the lowest id first.
-- Keys       those named below
-- Arguments  how many; then the place: when its job is due, in milliseconds, and its id; neither for the first page. The job itself
--            may be gone.
-- Answers    id, time, id, time, …
-- Atomic     the whole page is read at one moment; nothing is written
-- Work       as many jobs as are asked for, and a look for each halving of those that are due in that millisecond
local function not_after(a, b)
  -- Byte by byte, as Redis sorts: the operators of Lua go by the language of the server.
  for at = 1, math.min(#a, #b) do
    local x, y = a:byte(at), b:byte(at)
    if x ~= y then
      return x < y
    end
  end
  return #a <= #b
end

local start = 0
if ARGV[2] then
  local low = redis.call('ZCOUNT', DELAYED, '-inf', '(' .. ARGV[2])
  local high = low + redis.call('ZCOUNT', DELAYED, ARGV[2], ARGV[2])
  while low < high do
    local middle = math.floor((low + high) / 2)
    if not_after(redis.call('ZRANGE', DELAYED, middle, middle)[1], ARGV[3]) then
      low = middle + 1
    else
      high = middle
    end
  end
  start = low
end
return redis.call('ZRANGE', DELAYED, start, start + ARGV[1] - 1, 'WITHSCORES')
