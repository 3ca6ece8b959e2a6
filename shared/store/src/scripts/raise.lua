-- Raises the sums of what was spent to what Postgres has on record, where they are lower or missing.
--
-- KEYS: 1 spent on the day, 2 spent in the month (both in millionths of a US dollar). They share a slot.
-- ARGV: 1 and 2 what Postgres has for each, 3 and 4 ms to keep each.
-- Result: nothing. A sum in Redis that is higher stays, because it also counts reservations, and what the sync has not moved yet.
-- Atomic. Bound: constant.

for i = 1, 2 do
  local spent = tonumber(redis.call('GET', KEYS[i]) or '')
  if not spent or spent < tonumber(ARGV[i]) then redis.call('SET', KEYS[i], ARGV[i], 'PX', ARGV[i + 2]) end
end
