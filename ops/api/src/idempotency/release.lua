-- Lets go of an idempotency key, unless its request was answered. Atomic: an answer that a repetition got meanwhile stays.
-- KEYS[1]  the key
-- Answers  1 when it was released, 0 when it stays, because it has an answer or cannot be read, or when there is none.
-- Work     one look, one delete.
local held = redis.pcall('GET', KEYS[1])
if type(held) ~= 'string' then
  return 0
end
local is_json, kept = pcall(cjson.decode, held)
if not is_json or type(kept) ~= 'table' or (kept.answer and kept.answer ~= cjson.null) then
  return 0
end
return redis.call('DEL', KEYS[1])
