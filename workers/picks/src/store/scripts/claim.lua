-- Keeps what the one who comes first says, and tells it to all who come later.
--
-- KEYS: 1 the claim. ARGV: 1 what the one who comes says, 2 ttl in ms.
-- Result: what the first one said.
-- Atomic. Bound: constant.

local first = redis.call('GET', KEYS[1])
if first then return first end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
