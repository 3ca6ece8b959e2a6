-- Sets keys aside that are of another type than what this queue keeps there: somebody else wrote them, and every script that
-- comes upon one fails. What was there lies under the same name with `:set_aside` behind it, and the queue goes on without.
--
-- Own ARGV: the type that each of KEYS has to have, in their order.
-- Result: the keys that were set aside.
-- Atomic. Bound: the keys.

local out = {}
for i, key in ipairs(KEYS) do
  local found, wanted = redis.call('TYPE', key).ok, ARGV[i]
  if found ~= 'none' and found ~= wanted then
    redis.call('RENAME', key, key .. ':set_aside')
    out[#out + 1] = key
  end
end
return out
