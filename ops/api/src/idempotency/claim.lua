-- Claims an idempotency key for a request, or returns what the key holds. Atomic: of requests that race one claims it.
-- KEYS[1]  the key
-- ARGV[1]  what is known of the request; ARGV[2]  for how many seconds
-- Answers  {0} when it is claimed, {1, value} when another request has it, {2} when the key holds a value of another type.
-- Work     one look, one write.
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' and held.err then
  return { 2 }
end
if held then
  return { 1, held }
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return { 0 }
