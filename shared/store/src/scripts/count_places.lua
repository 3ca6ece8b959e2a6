-- Adds places for the acts in the ledger, for a Redis that was emptied.
--
-- KEYS: 1 posts, 2 replies, 3 retweets, 4 who took each place; as in take_place.lua.
-- ARGV: 1 how long places are kept (ms), then triples of which of the three, effect key, the latest time at which the act began
--   (ms).
-- Result: nothing. A key that has a place keeps it.
-- Atomic. Bound: the acts given, which the caller keeps at 500.

for i = 2, #ARGV, 3 do
  local set, key = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
  if redis.call('HSETNX', KEYS[4], key, 'ledger') == 1 then redis.call('ZADD', set, ARGV[i + 2], key) end
end
for i = 1, 4 do redis.call('PEXPIRE', KEYS[i], ARGV[1]) end
