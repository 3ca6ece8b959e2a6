-- Makes delayed jobs ready.
--
-- Own ARGV: ids.
-- Result: for each, 1, or 0 if it was not delayed.
-- Atomic: all in one go. Bound: the ids given, which the caller keeps at 500.

local out = {}
for i = 6, #ARGV do
  local moved = call('ZREM', DELAYED, ARGV[i])
  if moved == 1 then make_ready(ARGV[i], true) end
  out[#out + 1] = moved
end
wake()
return out
