-- Goes on where fetch_quick.lua ends; its arguments, result and bound are told there.

reap(most_reaped)
first_lease = first_of(LEASES)
nothing_ran = not first_lease

-- Rates are kept by GCRA (generic cell rate algorithm): a limiter's key holds the theoretical arrival time of its next start.
-- It is written when a job starts, and never before.
local function free_at(limiter, step, burst)
  local tat = math.max(tonumber(call('GET', RATE .. limiter) or '0'), now)
  return math.max(now, tat - (burst - 1) * step), tat
end

-- Puts a job off until its turn. Turns are planned one after the other, so that waiting jobs do not come all at once; whether
-- the turn is really free is seen when it comes. A job of high priority takes the next turn there is.
local function plan(id, limiter, step, at)
  local key = RATE .. 'plan|' .. limiter
  if call('HGET', PRIORITY, id) ~= 'high' then
    at = math.max(at, tonumber(call('GET', key) or '0'))
    call('SET', key, at + step, 'PX', math.ceil(at + step - now) + 1000)
  end
  call('HSET', RESERVED, id, limiter)
  call('HINCRBY', PLANNED, limiter, 1)
  make_delayed(id, math.ceil(at))
end

if call('HGET', STATE, 'paused') == '1' then
  flush_events()
  return { 1, -1, now }
end

promote()
if global_most > 0 then slots = math.min(slots, global_most - call('ZCARD', LEASES)) end

-- Parked jobs whose place is free, whatever was cancelled, purged or configured since they were parked.
if call('EXISTS', PARKED_COUNT) == 1 then
  for _, group in ipairs(call('HRANDFIELD', PARKED_COUNT, 10)) do
    local free = 100
    if group_most > 0 then free = math.min(free, group_most - tonumber(call('HGET', RUNNING, group) or '0')) end
    if free > 0 then unpark(group, free) end
  end
end

-- Whether `id` may start now. If not it has been parked or planned for later. Answers the group that its lease counts for,
-- '' for none.
local function admit(id)
  local group = call('HGET', GROUP, id) or ''
  unplan(id)
  if group ~= '' and group_most > 0 and tonumber(call('HGET', RUNNING, group) or '0') >= group_most then
    local first = call('LINDEX', PARKED .. group, 0)
    -- Ids sort by time: one that had been freed and comes back goes before those that came later.
    call(first and id < first and 'LPUSH' or 'RPUSH', PARKED .. group, id)
    call('HINCRBY', PARKED_COUNT, group, 1)
    return nil
  end
  local by_group = group ~= '' and group_step > 0
  local group_at, group_tat, queue_at, queue_tat
  if by_group then
    group_at, group_tat = free_at(group, group_step, group_burst)
    if group_at > now then
      plan(id, group, group_step, group_at)
      return nil
    end
  end
  if queue_step > 0 then
    queue_at, queue_tat = free_at('', queue_step, queue_burst)
    if queue_at > now then
      plan(id, '', queue_step, queue_at)
      return nil
    end
  end
  local function start(limiter, tat, step)
    call('SET', RATE .. limiter, tat + step, 'PX', math.ceil(tat + step - now) + 1000)
  end
  if by_group then start(group, group_tat, group_step) end
  if queue_step > 0 then start('', queue_tat, queue_step) end
  return group_most > 0 and group or ''
end

fill(function(ids)
  local groups = {}
  if call('EXISTS', CANCELLED) == 1 then
    local kept = {}
    for _, id in ipairs(ids) do
      if call('SREM', CANCELLED, id) == 0 then kept[#kept + 1] = id end
    end
    ids = kept
  end
  if limited then
    local kept = {}
    for _, id in ipairs(ids) do
      local group = admit(id)
      if group then
        if group ~= '' then enter_group(group) end
        kept[#kept + 1] = id
        groups[id] = group
      end
    end
    ids = kept
  end
  return ids, groups
end, leave_group)
-- A place that was left may have made jobs ready, and jobs may have been put off.
return answer(false, first_of(DELAYED))
