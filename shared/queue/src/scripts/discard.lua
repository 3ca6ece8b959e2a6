-- Removes jobs from the dead letters for good.
--
-- Own ARGV: 6 data (JSON of the event), then ids.
-- Result: for each, 1, or 0 if it was not dead.
-- Atomic: all in one go. Bound: the ids given, which the caller keeps at 500.

local out, gone = {}, {}
for i = 7, #ARGV do
  local id = ARGV[i]
  local removed = call('ZREM', DEAD, id)
  if removed == 1 then
    failure_event('discarded', id, ARGV[6])
    gone[#gone + 1] = id
  end
  out[#out + 1] = removed
end
forget(gone)
flush_events()
return out
