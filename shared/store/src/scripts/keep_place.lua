-- Records that the act of a place has begun, now or before.
--
-- KEYS: 1 posts, 2 replies, 3 retweets, 4 who took each place; as in take_place.lua.
-- ARGV: 1 effect key, 2 who took it, 3 the time (ms), 0 for that of Redis.
-- Result: 1 when the place belongs to that holder, else 0 and nothing is changed.
-- Atomic. Bound: constant.

if redis.call('HGET', KEYS[4], ARGV[1]) ~= ARGV[2] then return 0 end
local now = tonumber(ARGV[3])
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
for i = 1, 3 do redis.call('ZADD', KEYS[i], 'XX', 'LT', now, ARGV[1]) end
return 1
