-- Leases ready jobs to a worker: reaps lost leases, promotes due jobs, reads by priority, in one round trip.
--
-- Own ARGV: 5 slots, 6 lease ms, 7 holder, 8 most jobs promoted, 9 most leases reaped, 10 group concurrency (0 none),
--   11 group rate: interval ms between starts (0 none), 12 group burst, 13 queue rate: interval ms (0 none), 14 queue burst,
--   15 global concurrency (0 none), 16 what the worker says of itself (JSON, '' to leave it as it is)
-- Result: { paused (0 or 1), ms until the next job is due or a lease ends (-1 none), then for each job: id, envelope
--   (false when it is missing), lease member }
-- Atomic: a job is in exactly one of ready, delayed, parked, leases and dead before and after.
-- Bound: slots + jobs promoted + leases reaped + 3 times the slots looked at for limits.

local slots, lease_ms, holder = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local group_most, group_step, group_burst = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local queue_step, queue_burst, global_most = tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])

call('ZADD', WORKERS, now, holder)
if ARGV[16] ~= '' then call('HSET', WORKER_INFO, holder, ARGV[16]) end

reap(tonumber(ARGV[9]))
local nothing_ran = call('EXISTS', LEASES) == 0

-- GCRA (generic cell rate algorithm): the key holds the theoretical arrival time of the next start.
-- Answers when this start may happen, and takes the place.
local function reserve(key, step, burst)
  local tat = math.max(tonumber(call('GET', key) or '0'), now)
  local at = math.max(now, tat - (burst - 1) * step)
  call('SET', key, tat + step, 'PX', math.ceil(tat + step - now) + 1000)
  return at
end

local function next_change()
  local next_ms = -1
  for _, set in ipairs({ DELAYED, LEASES }) do
    local first = call('ZRANGE', set, 0, 0, 'WITHSCORES')
    if first[2] then
      local wait = math.max(0, tonumber(first[2]) - now)
      if next_ms < 0 or wait < next_ms then next_ms = wait end
    end
  end
  return next_ms
end

if call('HGET', STATE, 'paused') == '1' then
  flush_events()
  return { 1, -1 }
end

local due = call('ZRANGEBYSCORE', DELAYED, '-inf', now, 'LIMIT', 0, tonumber(ARGV[8]))
if #due > 0 then
  call('ZREM', DELAYED, unpack(due))
  if call('EXISTS', PRIORITY) == 0 then
    call('RPUSH', READY.normal, unpack(due))
  else
    for _, id in ipairs(due) do make_ready(id, false) end
  end
end

local wanted = slots
if global_most > 0 then slots = math.min(slots, global_most - call('ZCARD', LEASES)) end

local function take(list, count, into)
  if count <= 0 then return 0 end
  local ids = call('LPOP', list, count)
  if not ids then return 0 end
  for _, id in ipairs(ids) do into[#into + 1] = id end
  return #ids
end

-- One job of ten goes to low priority when higher work is there as well; fractions are carried over in `floor`.
local function take_by_priority(count)
  local ids, low = {}, 0
  if call('LLEN', READY.low) > 0 and call('EXISTS', READY.high, READY.normal) > 0 then
    local credit = count + tonumber(call('HGET', STATE, 'floor') or '0')
    low = math.min(count, math.floor(credit / 10))
    call('HSET', STATE, 'floor', credit % 10)
  end
  count = count - take(READY.low, low, ids)
  count = count - take(READY.high, count, ids)
  count = count - take(READY.normal, count, ids)
  take(READY.low, count, ids)
  return ids
end

-- Whether `id` may start now. If not it has been parked or delayed. Answers the group that its lease counts for, '' for none.
local function admit(id)
  local group = call('HGET', GROUP, id) or ''
  if group ~= '' and group_most > 0 then
    if tonumber(call('HGET', RUNNING, group) or '0') >= group_most then
      call('RPUSH', PARKED .. group, id)
      call('HINCRBY', PARKED_COUNT, group, 1)
      return nil
    end
  end
  if (group ~= '' and group_step > 0) or queue_step > 0 then
    if call('SREM', RESERVED, id) == 0 then
      local at = now
      if group ~= '' and group_step > 0 then at = reserve(RATE .. group, group_step, group_burst) end
      if queue_step > 0 then at = math.max(at, reserve(RATE, queue_step, queue_burst)) end
      if at > now then
        call('SADD', RESERVED, id)
        make_delayed(id, math.ceil(at))
        return nil
      end
    end
  end
  if group_most == 0 then return '' end
  return group
end

local limited = group_most > 0 or group_step > 0 or queue_step > 0
local out = { 0, -1 }
local started, looked = 0, 0
while started < slots and looked < 3 * slots do
  local ids = take_by_priority(slots - started)
  if #ids == 0 then break end
  looked = looked + #ids
  if call('EXISTS', CANCELLED) == 1 then
    local kept = {}
    for _, id in ipairs(ids) do
      if call('SREM', CANCELLED, id) == 0 then kept[#kept + 1] = id end
    end
    ids = kept
  end
  local groups = {}
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
  if #ids > 0 then
    local envelopes = call('HMGET', JOBS, unpack(ids))
    local attempts = call('EXISTS', ATTEMPTS) == 1 and call('HMGET', ATTEMPTS, unpack(ids)) or {}
    local until_start = call('EXISTS', UNIQUE_QUEUED) == 1
    local leases = {}
    for i, id in ipairs(ids) do
      if envelopes[i] then
        local attempt = tonumber(attempts[i] or '0') + 1
        local member = id .. '|' .. holder .. '|' .. attempt .. '|' .. (groups[id] or '')
        leases[#leases + 1] = now + lease_ms
        leases[#leases + 1] = member
        out[#out + 1] = id
        out[#out + 1] = envelopes[i]
        out[#out + 1] = member
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
        leave_group(groups[id] or '')
      end
    end
    if #leases > 0 then call('ZADD', LEASES, unpack(leases)) end
  end
end
flush_events()
-- Where the limit over all processes is reached, whoever finishes a job fetches the next: nobody is woken in vain.
if slots >= wanted and call('EXISTS', READY.high, READY.normal, READY.low) > 0 then
  wake()
  out[2] = 0
else
  out[2] = next_change()
  -- The first lease after a quiet time: one idle worker must learn of it, to take over should its holder die.
  if nothing_ran and started > 0 and call('ZCARD', WORKERS) > 1 then wake() end
end
return out
