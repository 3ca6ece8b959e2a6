-- Corrects what was set aside for a call by what it came to.
--
-- KEYS: 1 spent on the day, 2 spent in the month (both in millionths of a US dollar). They share a slot.
-- ARGV: 1 by how much.
-- Result: nothing. A sum that Redis has lost meanwhile stays lost, so that the next call asks Postgres for it: a correction
-- alone would pass for all that was spent.
-- Atomic. Bound: constant.

for i = 1, 2 do
  if tonumber(redis.call('GET', KEYS[i]) or '') then redis.call('INCRBY', KEYS[i], ARGV[1]) end
end
