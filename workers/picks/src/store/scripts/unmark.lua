-- Removes a mark if it belongs to the owner.
--
-- KEYS: 1 the mark. ARGV: 1 the owner.
-- Result: 1 if it was removed, 0 if it was not there or belongs to another owner.
-- Atomic. Bound: constant.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
