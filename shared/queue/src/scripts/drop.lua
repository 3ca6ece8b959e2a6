-- Removes finished jobs that came back with an older copy of Redis. It writes no event: their history is complete.
--
-- Own ARGV: ids.
-- Result: how many were there.
-- Atomic: all in one go. Bound: the ids given, which the caller keeps at 250, and the jobs that run at this moment.

local gone, freed = {}, false
for i = 6, #ARGV do
  local id = ARGV[i]
  if call('HDEL', JOBS, id) == 1 then
    gone[#gone + 1] = id
    if call('ZREM', DELAYED, id) == 0 and call('ZREM', DEAD, id) == 0 then
      local leased = false
      for _, member in ipairs(call('ZRANGE', LEASES, 0, -1)) do
        local of, _, _, group = split_lease(member)
        if of == id then
          leased, freed = true, true
          call('ZREM', LEASES, member)
          leave_group(group)
        end
      end
      if not leased then call('SADD', CANCELLED, id) end
    end
  end
end
forget(gone)
-- A slot is free again, and no acknowledgement of its holder will wake a worker (see finish_quick.lua).
if freed then wake_for_next(now) end
return #gone
