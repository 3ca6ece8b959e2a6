-- Carries out what attempts led to.
--
-- Own ARGV: 5 the number of plain successes, their lease members, 6 the number of told successes, for each its lease member
--   and data (JSON of the event), then groups of four: lease member, outcome, delay ms, data. No event tells of a plain
--   success: a first attempt under a history of failures. One always tells of a told one: any under a full history.
--   Outcomes: done · retry (after delay; the attempt counts) · snooze (after delay; it does not count) · dead · cancelled ·
--   release (at once, in front; it does not count)
-- Result: the places, from 1, of those whose lease was no longer held: there nothing was changed.
-- Atomic: all given attempts in one go.
-- Bound: the number of attempts given, which the caller keeps at 500.

local out, finished = {}, {}
local freed, succeeded = false, 0

-- Successes, each `step` arguments: the member first, then its data if an event tells of it. The places of those that
-- were lost are counted from `place`.
local function succeed(from, count, step, place)
  if count == 0 then return {} end
  local held, n, done = {}, 0, #finished
  for i = 1, count do
    local at = from + (i - 1) * step
    local member = ARGV[at]
    if call('ZREM', LEASES, member) == 1 then
      n = n + 1
      held[n] = member
      local id = string.sub(member, 1, 26)
      finished[done + n] = id
      if step == 2 then event('succeeded', id, ARGV[at + 1]) end
    else
      out[#out + 1] = place + i
    end
  end
  if n > 0 then
    freed = true
    succeeded = succeeded + n
  end
  return held
end

local plain = tonumber(ARGV[5])
local told = tonumber(ARGV[6 + plain])
local others = 7 + plain + 2 * told
local held = succeed(6, plain, 1, 0)
local held_told = succeed(7 + plain, told, 2, plain)

local function finish()
  if succeeded > 0 then call('HINCRBY', STATE, 'succeeded', succeeded) end
  flush_events()
  -- A place is free again, which matters where a limit over all processes keeps workers waiting.
  if freed and call('EXISTS', READY.high, READY.normal, READY.low) > 0 then wake() end
  return out
end

-- Most queues keep nothing but jobs.
if
  others > #ARGV
  and call('EXISTS', ATTEMPTS, ERRORS, PRIORITY, GROUP, CANCELLING, UNIQUE_DONE, UNIQUE_QUEUED, RESERVED, RUNNING) == 0
then
  if #finished > 0 then call('HDEL', JOBS, unpack(finished)) end
  return finish()
end

-- lib.lua

local cancelling = call('EXISTS', CANCELLING) == 1
local failed_before = call('EXISTS', ATTEMPTS) == 1
for _, members in ipairs({ held, held_told }) do
  for _, member in ipairs(members) do
    local _, _, _, group = split_lease(member)
    leave_group(group)
  end
end
for i = others, #ARGV, 4 do
  local member, outcome, delay, data = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
  if call('ZREM', LEASES, member) == 0 then
    out[#out + 1] = plain + told + (i - others) / 4 + 1
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
return finish()
