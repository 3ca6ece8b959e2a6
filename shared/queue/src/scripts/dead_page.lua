-- Reads a page of dead letters after a cursor, the latest first; of those that died in one millisecond the highest id first.
--
-- ARGV: 1 how many, then the cursor: 2 when its letter died, in milliseconds, 3 the member of the set; neither for the first
--   page. The letter itself may be gone.
-- Result: member, time, member, time, …
-- Atomic: the whole page is read at one moment; nothing is written.
-- Bound: the letters asked for, and a binary search among those that died in the millisecond of the cursor.
local function not_before(a, b)
  -- Byte by byte, as Redis sorts: Lua's comparison follows the locale of the server.
  for at = 1, math.min(#a, #b) do
    local x, y = a:byte(at), b:byte(at)
    if x ~= y then
      return x > y
    end
  end
  return #a >= #b
end

local start = 0
if ARGV[2] then
  local low = redis.call('ZCOUNT', DEAD, '(' .. ARGV[2], '+inf')
  local high = low + redis.call('ZCOUNT', DEAD, ARGV[2], ARGV[2])
  while low < high do
    local middle = math.floor((low + high) / 2)
    if not_before(redis.call('ZRANGE', DEAD, middle, middle, 'REV')[1], ARGV[3]) then
      low = middle + 1
    else
      high = middle
    end
  end
  start = low
end
return redis.call('ZRANGE', DEAD, start, start + ARGV[1] - 1, 'REV', 'WITHSCORES')
