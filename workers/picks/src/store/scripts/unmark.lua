-- Removes a mark, for the one who set it.
--
-- KEYS: 1 the mark. ARGV: 1 who set it.
-- Result: 1 when it is gone now, 0 when it was not there or is another's.
-- Atomic. Bound: constant.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
