-- Records the rate limit stated by an answer. Answers arrive out of order, and state the end of the same window slightly differently,
-- because it is given in whole seconds.
--
-- KEYS: 1 the window, which expires with it. ARGV: 1 limit, 2 remaining, 3 time until its end in ms, 4 how far two ends of one
--   window may lie apart in ms.
-- Result: nothing.
-- Atomic: within one window the smallest remainder and the latest end count. An answer about a later window replaces the stored one; an
--   answer about an earlier window is ignored, unless it says that this window is used up and the stored one is not.
-- Bound: constant.

local remaining, left, apart = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local old = redis.call('GET', KEYS[1])
if old then
  local old_remaining = tonumber(string.match(old, '^%d+ (%d+)'))
  local later = left - redis.call('PTTL', KEYS[1])
  if old_remaining and math.abs(later) <= apart then
    remaining, left = math.min(remaining, old_remaining), left - math.min(later, 0)
  elseif old_remaining and later < 0 and (remaining > 0 or old_remaining == 0) then
    return
  end
end
redis.call('SET', KEYS[1], string.format('%s %d', ARGV[1], remaining), 'PX', string.format('%.0f', left))
