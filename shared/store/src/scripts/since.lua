-- Moves the id of the last post read forward, never back.
--
-- KEYS: 1 the id. ARGV: 1 the new id, decimal digits without leading zeros; 64-bit, so too large to compare as a number.
-- Result: the id that is stored now.
-- Atomic. Bound: constant.

local old = redis.call('GET', KEYS[1])
if old and (#old > #ARGV[1] or (#old == #ARGV[1] and old >= ARGV[1])) then return old end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
