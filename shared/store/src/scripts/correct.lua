-- Corrects the reservation for a call to what it really cost.
--
-- KEYS: 1 spent on the day, 2 spent in the month (both in millionths of a US dollar). They share a slot.
-- ARGV: 1 the difference.
-- Result: nothing. A sum that Redis has lost in the meantime is not created, so that the next call reads it from Postgres: otherwise
-- the correction alone would count as all that was spent.
-- Atomic. Bound: constant.

for i = 1, 2 do
  if tonumber(redis.call('GET', KEYS[i]) or '') then redis.call('INCRBY', KEYS[i], ARGV[1]) end
end
