-- Leases ready jobs to a worker: reaps lost leases, promotes due jobs, reads by priority, in one round trip.
--
-- Own ARGV: 5 slots, 6 lease ms, 7 holder, 8 most jobs promoted, 9 most leases reaped, 10 group concurrency (0 none),
--   11 group rate: interval ms between starts (0 none), 12 group burst, 13 queue rate: interval ms (0 none), 14 queue burst,
--   15 global concurrency (0 none), 16 what the worker says of itself (JSON, '' to leave it as it is)
-- Result: { paused (0 or 1), ms until the next job is due or a lease ends (-1 none), then for each job: its envelope and
--   its lease member }
-- Atomic: a job is in exactly one of ready, delayed, parked, leases and dead before and after.
-- Bound: slots + jobs promoted + leases reaped + 3 times the slots looked at for limits + 10 groups of parked jobs.

local slots, lease_ms, holder = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local group_most, group_step, group_burst = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local queue_step, queue_burst, global_most = tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])

-- The first write decides whether Redis lets a script run at its memory limit. Taking jobs must work then, or nothing would
-- ever make room.
call('ZREM', WORKERS, '')
call('ZADD', WORKERS, now, holder)
if ARGV[16] ~= '' then call('HSET', WORKER_INFO, holder, ARGV[16]) end

local most_reaped = tonumber(ARGV[9])
local started = 0
local out = { 0, -1 }

local function next_change()
  local next_ms = -1
  for _, set in ipairs(most_reaped > 0 and { DELAYED, LEASES } or { DELAYED }) do
    local first = call('ZRANGE', set, 0, 0, 'WITHSCORES')
    if first[2] then
      local wait = math.max(0, tonumber(first[2]) - now)
      if next_ms < 0 or wait < next_ms then next_ms = wait end
    end
  end
  return next_ms
end

local function take(list, count, into)
  if count <= 0 then return 0 end
  local ids = call('LPOP', list, count)
  if not ids then return 0 end
  local n = #into
  for i, id in ipairs(ids) do into[n + i] = id end
  return #ids
end

-- One job of ten is left to each lower priority while higher work is there; fractions are carried over in `state`.
local function floor_share(count, list, higher, field)
  if call('LLEN', list) == 0 or call('EXISTS', unpack(higher)) == 0 then return 0 end
  local credit = count + tonumber(call('HGET', STATE, field) or '0')
  call('HSET', STATE, field, credit % 10)
  return math.min(count, math.floor(credit / 10))
end
local function take_by_priority(count)
  local ids = {}
  local low = floor_share(count, READY.low, { READY.high, READY.normal }, 'floor_low')
  local normal = math.min(count - low, floor_share(count, READY.normal, { READY.high }, 'floor_normal'))
  count = count - take(READY.low, low, ids)
  count = count - take(READY.normal, normal, ids)
  count = count - take(READY.high, count, ids)
  count = count - take(READY.normal, count, ids)
  take(READY.low, count, ids)
  return ids
end

local number
local written = #out
-- As text, because Redis writes numbers out slowly.
local ends = string.format('%.0f', now + lease_ms)

-- Leases jobs, and writes them into the answer; `groups` has the group that a lease counts for. Answers the groups of those
-- whose envelope is missing.
local function lease(ids, groups)
  -- The count alone would be given again by a Redis that lost its last second.
  number = number or string.format('%.0f.%.0f', now, call('HINCRBY', STATE, 'fetches', 1))
  local envelopes = call('HMGET', JOBS, unpack(ids))
  local attempts = call('EXISTS', ATTEMPTS) == 1 and call('HMGET', ATTEMPTS, unpack(ids)) or {}
  local until_start = call('EXISTS', UNIQUE_QUEUED) == 1
  local before, after, first = '|' .. holder .. '|', '|' .. number .. '|', '|' .. holder .. '|1|' .. number .. '|'
  local leases, n, gone = {}, 0, {}
  for i, id in ipairs(ids) do
    local envelope = envelopes[i]
    if envelope then
      local attempt = attempts[i] and whole(attempts[i], 0) + 1 or 1
      local group = groups[id] or ''
      local member = attempt == 1 and id .. first .. group or id .. before .. attempt .. after .. group
      leases[n + 1], leases[n + 2] = ends, member
      n = n + 2
      out[written + 1], out[written + 2] = envelope, member
      written = written + 2
      started = started + 1
      if until_start then
        local key = call('HGET', UNIQUE_QUEUED, id)
        if key then
          call('HDEL', UNIQUE_QUEUED, id)
          if call('GET', UNIQUE .. key) == id then call('DEL', UNIQUE .. key) end
        end
      end
      if FULL then event('started', id, '{"attempt":' .. attempt .. ',"worker":"' .. holder .. '"}') end
    else
      gone[#gone + 1] = groups[id]
    end
  end
  if n > 0 then call('ZADD', LEASES, unpack(leases)) end
  return gone
end

-- Takes jobs until the slots are full. `choose` answers which of some may start, and their groups; `leave` is told of groups
-- that are left at once.
local function fill(choose, leave)
  local looked = 0
  while started < slots and looked < 3 * slots do
    local ids, groups = take_by_priority(slots - started), {}
    if #ids == 0 then break end
    looked = looked + #ids
    if choose then ids, groups = choose(ids) end
    if #ids > 0 then
      for _, group in ipairs(lease(ids, groups)) do leave(group) end
    end
  end
end

local function answer(nothing_ran)
  flush_events()
  -- Where the limit over all processes is reached, the end of a job leaves a token: nobody is woken in vain.
  local at_limit = global_most > 0 and call('ZCARD', LEASES) >= global_most
  if not at_limit and call('EXISTS', READY.high, READY.normal, READY.low) > 0 then
    wake()
    out[2] = 0
  else
    out[2] = next_change()
    -- The first lease after a quiet time: one idle worker must learn of it, to take over should its holder die.
    if nothing_ran and started > 0 and call('ZCARD', WORKERS) > 1 then wake() end
  end
  return out
end

-- Makes due jobs ready.
local function promote()
  local due = call('ZRANGEBYSCORE', DELAYED, '-inf', now, 'LIMIT', 0, tonumber(ARGV[8]))
  if #due == 0 then return end
  call('ZREM', DELAYED, unpack(due))
  if call('EXISTS', PRIORITY) == 0 then
    call('RPUSH', READY.normal, unpack(due))
  else
    for _, id in ipairs(due) do make_ready(id, false) end
  end
end

local limited = group_most > 0 or group_step > 0 or queue_step > 0
local expired = most_reaped > 0 and #call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, 1) > 0

-- Most fetches find no lease that ran out, no limit, nothing parked and nothing cancelled.
if not expired and not limited and not cancelled and call('EXISTS', PARKED_COUNT) == 0 then
  if call('HGET', STATE, 'paused') == '1' then return { 1, -1 } end
  local nothing_ran = call('EXISTS', LEASES) == 0
  promote()
  if global_most > 0 then slots = math.min(slots, global_most - call('ZCARD', LEASES)) end
  fill()
  return answer(nothing_ran)
end

-- lib.lua

reap(most_reaped)
local nothing_ran = call('EXISTS', LEASES) == 0

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
  return { 1, -1 }
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
return answer(nothing_ran)
