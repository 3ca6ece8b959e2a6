-- Slow path, concatenated after finish_quick.lua, whose header has the arguments, the result and the bound.

local cancelling = call('EXISTS', CANCELLING) == 1
local failed_before = call('EXISTS', ATTEMPTS) == 1
for _, members in ipairs({ held, held_told }) do
  for _, member in ipairs(members) do
    local _, _, _, group = split_lease(member)
    leave_group(group)
  end
end

-- Delays a job until a worker knows its kind, which a deploy may bring. It is tried less and less often, and is dead once it has
-- waited `most` ms. A start of the wait in the future comes from another clock, and one that is not a number was written by hand:
-- both restart the wait.
local function wait_for_its_kind(id, attempt, most, data)
  local since = whole(call('HGET', UNKNOWN_KIND, id), -1)
  if since < 0 or since > now then
    since = now
    call('HSET', UNKNOWN_KIND, id, digits(now))
  end
  local waited = now - since
  if waited >= most then
    add_error(id, data)
    return kill(id, attempt, data)
  end
  event('snoozed', id, data)
  make_delayed(id, now + math.min(60000, math.max(2000, waited / 2), most - waited))
end

for i = others, #ARGV, 4 do
  local member, outcome, delay, data = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
  if call('ZREM', LEASES, member) == 0 then
    out[#out + 1] = plain + told + (i - others) / 4 + 1
  else
    freed = true
    local id, holder, attempt, group = split_lease(member)
    leave_group(group)
    local stopped = cancelling and outcome ~= 'done' and outcome ~= 'dead' and call('HGET', CANCELLING, id)
    if stopped and outcome ~= 'cancelled' then
      outcome = 'cancelled'
      data = cjson.encode({ attempt = tonumber(attempt), worker = holder, error = stopped })
    end
    if outcome == 'retry' or outcome == 'snooze' then call('HDEL', UNKNOWN_KIND, id) end
    if outcome == 'done' then
      succeeded = succeeded + 1
      -- A history of failures also records the success of a job that had failed before.
      if FULL or (failed_before and call('HEXISTS', ATTEMPTS, id) == 1) then event('succeeded', id, data) end
      finished[#finished + 1] = id
    elseif outcome == 'cancelled' then
      failure_event('cancelled', id, data)
      finished[#finished + 1] = id
    elseif outcome == 'dead' then
      add_error(id, data)
      kill(id, attempt, data)
    elseif outcome == 'retry' then
      call('HSET', ATTEMPTS, id, attempt)
      add_error(id, data)
      failure_event('retried', id, data)
      make_delayed(id, now + delay)
    elseif outcome == 'snooze' then
      if FULL then event('snoozed', id, data) end
      make_delayed(id, now + delay)
    elseif outcome == 'unknown' then
      wait_for_its_kind(id, attempt, delay, data)
    else
      if FULL then event('released', id, data) end
      make_ready(id, true)
    end
  end
end
forget(finished)
return finish()
