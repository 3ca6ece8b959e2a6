-- Stores the value of the first caller, and returns it to every later caller.
--
-- KEYS: 1 the claim. ARGV: 1 the value of the caller, 2 ttl in ms.
-- Result: the value of the first caller.
-- Atomic. Bound: constant.

local first = redis.call('GET', KEYS[1])
if first then return first end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
