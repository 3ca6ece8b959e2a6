-- Reads a page of delayed jobs after a cursor, in the order of their due times; within a millisecond the lowest id first.
--
-- ARGV: 1 how many, then the cursor: 2 when its job is due, in milliseconds, 3 the member of the set; neither for the first page.
--   The job itself may be gone.
-- Result: member, time, member, time, …
-- Atomic: the whole page is read at one moment; nothing is written.
-- Bound: the jobs asked for, and a binary search among those due in the millisecond of the cursor.
local function not_after(a, b)
  -- Byte by byte, as Redis sorts: Lua's comparison follows the locale of the server.
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
