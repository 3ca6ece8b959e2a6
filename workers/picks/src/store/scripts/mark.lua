-- Sets a mark for the first owner.
--
-- KEYS: 1 the mark. ARGV: 1 the owner, 2 ttl in ms.
-- Result: 1 if the mark now belongs, or already belonged, to this owner; 0 if another owner was first.
-- Atomic. Bound: constant.

local first = redis.call('GET', KEYS[1])
if first then return first == ARGV[1] and 1 or 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
