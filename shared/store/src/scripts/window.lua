-- Notes what an answer said about a rate limit. Answers may arrive out of order: within one window the smallest remainder
-- counts, and a window that ends earlier than the one known is left out.
--
-- KEYS: 1 the window. ARGV: 1 limit, 2 remaining, 3 end of the window (ms since 1970), 4 time until then in ms.
-- Result: nothing.
-- Atomic. Bound: constant.

local remaining, reset = tonumber(ARGV[2]), tonumber(ARGV[3])
local old = redis.call('GET', KEYS[1])
if old then
  local _, old_remaining, old_reset = string.match(old, '^(%d+) (%d+) (%d+)$')
  if old_reset then
    if tonumber(old_reset) > reset then return end
    if tonumber(old_reset) == reset then remaining = math.min(remaining, tonumber(old_remaining)) end
  end
end
redis.call('SET', KEYS[1], string.format('%s %d %s', ARGV[1], remaining, ARGV[3]), 'PX', ARGV[4])
