-- Gives back the place of an act that did not happen.
--
-- KEYS: 1 posts, 2 replies, 3 retweets, 4 who took each place; as in take_place.lua.
-- ARGV: 1 effect key, 2 who took it.
-- Result: 1 when it is given back, 0 when another holder has taken it since, or it is gone.
-- Atomic. Bound: constant.

if redis.call('HGET', KEYS[4], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[4], ARGV[1])
for i = 1, 3 do redis.call('ZREM', KEYS[i], ARGV[1]) end
return 1
