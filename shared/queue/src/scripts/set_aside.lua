-- Renames keys of the wrong type: somebody else wrote them, and every script that uses one fails. The value is
-- kept under the same name with `:set_aside` appended, and the queue continues without it.
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
