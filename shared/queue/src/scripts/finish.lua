-- Carries out what attempts led to.
--
-- Own ARGV: 5 the number of plain successes, their lease members, then groups of four: lease member, outcome, delay ms,
--   data (JSON of the event). A success is plain when no event tells of it: a first attempt under a history of failures.
--   Outcomes: done · retry (after delay; the attempt counts) · snooze (after delay; it does not count) · dead · cancelled ·
--   release (at once, in front; it does not count)
-- Result: the places, from 1, of those whose lease was no longer held: there nothing was changed.
-- Atomic: all given attempts in one go.
-- Bound: the number of attempts given, which the caller keeps at 500.

local out, finished = {}, {}
local cancelling = call('EXISTS', CANCELLING) == 1
local failed_before = call('EXISTS', ATTEMPTS) == 1
local freed, succeeded = false, 0

-- An id has 26 characters, and a lease that counts for no group ends with the bar before it.
local function leave(member)
  if string.byte(member, -1) ~= 124 then
    local _, _, _, group = split_lease(member)
    leave_group(group)
  end
end

local plain = tonumber(ARGV[5])
if plain > 0 then
  local held = {}
  for i, score in ipairs(call('ZMSCORE', LEASES, unpack(ARGV, 6, 5 + plain))) do
    local member = ARGV[5 + i]
    if score then
      held[#held + 1] = member
      finished[#finished + 1] = string.sub(member, 1, 26)
    else
      out[#out + 1] = i
    end
  end
  if #held > 0 then
    call('ZREM', LEASES, unpack(held))
    for _, member in ipairs(held) do leave(member) end
    freed = true
    succeeded = #held
  end
end

for i = 6 + plain, #ARGV, 4 do
  local member, outcome, delay, data = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
  if call('ZREM', LEASES, member) == 0 then
    out[#out + 1] = plain + (i - 6 - plain) / 4 + 1
  else
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
