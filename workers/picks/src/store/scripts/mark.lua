-- Sets a mark for whoever comes first.
--
-- KEYS: 1 the mark. ARGV: 1 who comes, 2 ttl in ms.
-- Result: 1 when the mark is now, or was already, of the one who comes; 0 when another was first.
-- Atomic. Bound: constant.

local first = redis.call('GET', KEYS[1])
if first then return first == ARGV[1] and 1 or 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
