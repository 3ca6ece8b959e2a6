-- Releases leases that their worker does not know of, because the reply to a fetch was lost. Jobs that were cancelled meanwhile
-- end here.
--
-- Own ARGV: 6 holder, then the leases that it knows of.
-- Result: how many leases were released.
-- Atomic: all in one go. Bound: the leases of the queue, that is the jobs running at this moment.

local known = {}
for i = 7, #ARGV do known[ARGV[i]] = true end
local given_back = 0
local members = call('ZRANGE', LEASES, 0, -1)
-- Last first, because each goes to the front.
for i = #members, 1, -1 do
  local member = members[i]
  local id, holder, attempt, group = split_lease(member)
  if holder == ARGV[6] and not known[member] then
    call('ZREM', LEASES, member)
    leave_group(group)
    local data = { attempt = tonumber(attempt), worker = holder, error = call('HGET', CANCELLING, id) or nil }
    if data.error then
      failure_event('cancelled', id, cjson.encode(data))
      forget({ id })
    else
      make_ready(id, true)
      if FULL then event('released', id, cjson.encode(data)) end
    end
    given_back = given_back + 1
  end
end
flush_events()
if given_back > 0 then wake() end
return given_back
