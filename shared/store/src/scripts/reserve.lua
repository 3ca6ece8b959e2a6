-- Reserves money for a call before it is made, and counts the call, if budgets and rate allow it.
--
-- KEYS: 1 spent on the day, 2 spent in the month (both in millionths of a US dollar), 3 when the next call of the rate may be
-- made (ms since 1970), 4 the last call that a budget refused. They share a slot.
-- ARGV: 1 what the call costs at most, 2 budget of the day, 3 of the month (0 none), 4 and 5 ms to keep the day and the
-- month, 6 ms between two calls (0 no rate), 7 calls that may come at once.
-- Result: 'ok' · 'unknown' if a sum is missing: set it, and call again · 'day' or 'month' if that budget is used up · the ms to wait
-- for the rate. If only the sum of the day is missing, the day has just begun and its sum is 0.
-- A call that a budget refuses is recorded, and kept as long as the sum of a month: 'day' or 'month', the ms since 1970, and its cost
-- at most.
-- Atomic: everything is reserved or nothing. Bound: constant.

local cost = tonumber(ARGV[1])
local names = { 'day', 'month' }
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 1, 2 do
  local budget, held = tonumber(ARGV[i + 1]), redis.call('GET', KEYS[i])
  local spent = tonumber(held or '')
  if i == 1 and not held and tonumber(redis.call('GET', KEYS[2]) or '') then spent = 0 end
  if not spent then
    -- A value that is not a number was set by hand.
    redis.call('DEL', KEYS[i])
    return 'unknown'
  end
  if budget > 0 and spent + cost > budget then
    redis.call('SET', KEYS[4], string.format('%s %.0f %.0f', names[i], now, cost), 'PX', ARGV[5])
    return names[i]
  end
end
local step = tonumber(ARGV[6])
if step > 0 then
  local burst = tonumber(ARGV[7])
  local due = math.max(now, tonumber(redis.call('GET', KEYS[3]) or now))
  -- A time further ahead than possible was set by another clock, or for another rate.
  if due > now + step * burst then due = now end
  local wait = due - now - step * (burst - 1)
  if wait > 0 then return string.format('%.0f', wait) end
  redis.call('SET', KEYS[3], string.format('%.0f', due + step), 'PX', string.format('%.0f', due + step - now + 1000))
end
for i = 1, 2 do
  redis.call('INCRBY', KEYS[i], cost)
  redis.call('PEXPIRE', KEYS[i], ARGV[i + 3])
end
return 'ok'
