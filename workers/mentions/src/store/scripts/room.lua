-- Takes a place for a mention in its conversation and in its author's day, while both have one.
--
-- KEYS: 1 mentions taken in the conversation, 2 those of the author's day. Both share one hash tag. A set that is known holds '-'.
-- ARGV: 1 the mention, 2 most in a conversation, 3 most of a day, 4 and 5 how long the sets are kept, in ms.
-- Result: 'taken' when the mention has its place, now or already; 'conversation' or 'user' when that one is full;
--   'unknown' when a set is not known, so that it has to be told first.
-- Atomic. Bound: constant.

if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('EXISTS', KEYS[2]) == 0 then return 'unknown' end
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 and redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1 then return 'taken' end
if redis.call('SCARD', KEYS[1]) - 1 >= tonumber(ARGV[2]) then return 'conversation' end
if redis.call('SCARD', KEYS[2]) - 1 >= tonumber(ARGV[3]) then return 'user' end
for i = 1, 2 do
  redis.call('SADD', KEYS[i], ARGV[1])
  redis.call('PEXPIRE', KEYS[i], ARGV[3 + i])
end
return 'taken'
