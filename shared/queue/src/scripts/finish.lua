-- Carries out what attempts led to.
--
-- Own ARGV: groups of four: lease member, outcome, delay ms, data (JSON of the event).
--   Outcomes: done · retry (after delay; the attempt counts) · snooze (after delay; it does not count) · dead · cancelled ·
--   release (at once, in front; it does not count)
-- Result: for each, 1, or 0 when the lease was no longer held: then nothing was changed.
-- Atomic: all given attempts in one go.
-- Bound: the number of attempts given, which the caller keeps at 500.

local out, finished = {}, {}
local cancelling = call('EXISTS', CANCELLING) == 1
local failed_before = call('EXISTS', ATTEMPTS) == 1
local freed, succeeded = false, 0
for i = 5, #ARGV, 4 do
  local member, outcome, delay, data = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
  if call('ZREM', LEASES, member) == 0 then
    out[#out + 1] = 0
  else
    out[#out + 1] = 1
    freed = true
    local id, holder, attempt, group = split_lease(member)
    leave_group(group)
    local stopped = cancelling and (outcome == 'retry' or outcome == 'snooze' or outcome == 'release')
      and call('HGET', CANCELLING, id)
    if stopped then
      outcome = 'cancelled'
      data = cjson.encode({ attempt = tonumber(attempt), worker = holder, error = stopped })
    end
    if outcome == 'done' then
      succeeded = succeeded + 1
      -- A history of failures alone also tells how a job that had failed came through.
      if FULL or (failed_before and call('HEXISTS', ATTEMPTS, id) == 1) then event('succeeded', id, data) end
      finished[#finished + 1] = id
    elseif outcome == 'cancelled' then
      failure_event('cancelled', id, data)
      finished[#finished + 1] = id
    elseif outcome == 'dead' then
      call('HSET', ATTEMPTS, id, attempt)
      add_error(id, data)
      kill(id, data)
    elseif outcome == 'retry' then
      call('HSET', ATTEMPTS, id, attempt)
      add_error(id, data)
      failure_event('retried', id, data)
      make_delayed(id, now + delay)
    elseif outcome == 'snooze' then
      if FULL then event('snoozed', id, data) end
      make_delayed(id, now + delay)
    else
      if FULL then event('released', id, data) end
      make_ready(id, true)
    end
  end
end
forget(finished)
if succeeded > 0 then call('HINCRBY', STATE, 'succeeded', succeeded) end
flush_events()
-- A place is free again, which matters where a limit over all processes keeps workers waiting.
if freed and call('EXISTS', READY.high, READY.normal, READY.low) > 0 then wake() end
return out
