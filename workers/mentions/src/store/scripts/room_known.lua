-- Tells the places that are taken in a conversation and in an author's day, as Postgres knows them.
--
-- KEYS: 1 mentions taken in the conversation, 2 those of the author's day. Both share one hash tag.
-- ARGV: 1 and 2 how long the sets are kept, in ms, 3 how many of the mentions that follow are of the conversation; the others
--   are of the day.
-- Result: nothing. A set that is known already keeps what it has.
-- Atomic. Bound: the mentions given, which the caller keeps at 1,000 each.

for i = 1, 2 do
  redis.call('SADD', KEYS[i], '-')
  redis.call('PEXPIRE', KEYS[i], ARGV[i])
end
local split = 3 + tonumber(ARGV[3])
for i = 4, #ARGV do
  redis.call('SADD', i <= split and KEYS[1] or KEYS[2], ARGV[i])
end
