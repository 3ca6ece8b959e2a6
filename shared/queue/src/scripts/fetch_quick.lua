-- Leases ready jobs to a worker: reaps expired leases, promotes due jobs and takes jobs by priority, in one round trip. This part
-- is enough for most fetches; fetch.lua follows if a lease ran out, groups have limits, or something was cancelled or parked.
--
-- Own ARGV: 6 slots, 7 lease ms, 8 holder, 9 most jobs promoted, 10 most leases reaped, 11 group concurrency (0 none),
--   12 group rate: interval ms between starts (0 none), 13 group burst, 14 queue rate: interval ms (0 none), 15 queue burst,
--   16 global concurrency (0 none), 17 the worker's own description (JSON, '' to leave it as it is), 18 the description
--   that WORKER_INFO must have of the worker, else the fetch takes nothing ('' for a fetch that accepts any; with a description
--   nothing is reaped, and a fetch that finds an expired lease takes nothing either)
-- Result: { the state: 0, 1 for a paused queue, 2 if the fetch was rejected and took nothing, or 3 if fetch_behind.lua would have
--   been enough;
--   ms until there may be something to do (a job is due, a lease ends, a limit allows a start; -1 if nothing is in sight); the
--   time; then, for 0 and 3: the common suffix of the lease members of the leading jobs that are first attempts without a group;
--   their ids, 26 bytes each, concatenated; the list of their envelopes; then for each further job its envelope and its lease
--   member }
-- Atomic: a job is in exactly one of ready, delayed, parked, leases and dead before and after.
-- Bound: slots + jobs promoted + leases reaped; with limits of groups 3 times the slots and 100 jobs looked at, and 40 groups;
--   once after the clock went back, 10,000 delayed jobs.

local slots, lease_ms, holder = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local group_most, group_step, group_burst = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local queue_step, queue_burst, global_most = tonumber(ARGV[14]), tonumber(ARGV[15]), tonumber(ARGV[16])
local grouped = group_most > 0 or group_step > 0

-- The lowest score of a sorted set, or nil.
local function first_of(set)
  local first = call('ZRANGE', set, '0', '0', 'WITHSCORES')
  return tonumber(first[2])
end

-- If any of these exists, more must be done than to take first attempts from one list, except for delayed jobs that are not due.
local there = call('EXISTS', CANCELLED, PARKED_GROUPS, DELAYED, ATTEMPTS, READY_HIGH, READY_LOW)
local first_due = there > 0 and first_of(DELAYED) or nil
-- The time of the last fetch. It is ahead if the clock was set back, or if another server with its own clock took over.
local state = call('HMGET', STATE, 'paused', 'clock')
local paused, clock = state[1] == '1', tonumber(state[2] or 0) or 0
local went_back = clock > now + 5000
local unusual = went_back or there > (first_due and first_due > now and 1 or 0)
local cancelled, added = unusual and call('EXISTS', CANCELLED) == 1, false

-- At its memory limit Redis lets a script run only if its first write needs no memory. Taking jobs must work then, or nothing
-- would ever make room.
local function write_first() call('ZREM', WORKERS, '') end

local most_reaped = tonumber(ARGV[10])
local first_lease = first_of(LEASES)
local nothing_ran = not first_lease
local expired = most_reaped > 0 and first_lease and (first_lease <= now or first_lease > farthest_end(lease_ms))
-- A fetch that was sent along with a blocking read may run late: the worker may have stopped, dropped its connection, or be frozen.
-- It must not reap, because after an outage every lease looks lost.
if ARGV[18] ~= '' and (expired or call('HGET', WORKER_INFO, holder) ~= ARGV[18]) then
  write_first()
  wake()
  return { 2, -1, now }
end

local simple = not (unusual or expired or grouped or paused or global_most > 0 or queue_step > 0)
-- In the simple case the pop of the jobs is the first write.
local ids = simple and (call('LPOP', READY_NORMAL, ARGV[6]) or {})
if not simple then write_first() end
-- Jobs may have been popped by now. They must not be lost because WORKERS is of another type, written by hand.
redis.pcall('ZADD', WORKERS, digits(now), holder)
if ARGV[17] ~= '' then redis.pcall('HSET', WORKER_INFO, holder, ARGV[17]) end
if not (clock > now - 1000 and clock <= now) then call('HSET', STATE, 'clock', digits(now)) end

local started = 0
-- The cost of an answer grows with the number of its elements. So what first attempts without a group have in common is sent
-- once, for those that come before any other job.
local plain_ids, plain_envelopes, plain = {}, {}, 0
local out = { simple and 3 or 0, -1, now, '', '', plain_envelopes }

local number
local ahead = #out
local written = ahead
local ends = digits(now + lease_ms)

-- Leases jobs and writes them into the result; `groups` has the group that a lease counts for. Returns the ids whose
-- envelope is missing.
local function lease(ids, groups)
  if not number then
    local count = redis.pcall('HINCRBY', STATE, 'fetches', '1')
    -- A count that is not a number was written by hand; the jobs popped by now must not be lost because of it.
    if type(count) ~= 'number' then
      count = 1
      call('HSET', STATE, 'fetches', '1')
    end
    -- A Redis that lost its last second would repeat the count, hence the time.
    number = digits(now) .. '.' .. digits(count)
  end
  local envelopes = call('HMGET', JOBS, unpack(ids))
  local attempts = not simple and call('EXISTS', ATTEMPTS) == 1 and call('HMGET', ATTEMPTS, unpack(ids)) or {}
  local before, after, first = '|' .. holder .. '|', '|' .. number .. '|', '|' .. holder .. '|1|' .. number .. '|'
  out[4] = first
  local leases, n, gone = {}, 0, {}
  for i, id in ipairs(ids) do
    local envelope = envelopes[i]
    if envelope then
      local attempt = attempts[i] and whole(attempts[i], 0) + 1 or 1
      local group = groups[id] or ''
      local member = attempt == 1 and id .. first .. group or id .. before .. attempt .. after .. group
      if attempt == 1 and group == '' and #id == 26 and written == ahead then
        plain = plain + 1
        plain_ids[plain], plain_envelopes[plain] = id, envelope
      else
        out[written + 1], out[written + 2] = envelope, member
        written = written + 2
      end
      leases[n + 1], leases[n + 2] = ends, member
      n = n + 2
      started = started + 1
      if FULL then event('started', id, '{"attempt":' .. attempt .. ',"worker":"' .. holder .. '"}') end
    else
      gone[id] = true
    end
  end
  if n > 0 then call('ZADD', LEASES, unpack(leases)) end
  return gone
end

-- Completes the result. `waits`: something is ready; `opens`: when the limits of the queue allow its next start; `looks`: when
-- the next look at parked jobs is due.
local function answer(waits, opens, looks)
  flush_events()
  out[5] = table.concat(plain_ids)
  waits = waits or looks and looks <= now
  -- At the limit over all processes no worker is woken: the end of a job adds the token.
  local full = global_most > 0 and call('ZCARD', LEASES) >= global_most
  if waits and not full and opens <= now then
    wake()
    out[2] = 0
    return out
  end
  local first = first_due
  local function sooner(at)
    if at and not (first and first < at) then first = at end
  end
  if most_reaped > 0 then sooner(first_lease or started > 0 and now + lease_ms or nil) end
  if waits and not full then sooner(opens) end
  if looks and looks > now then sooner(looks) end
  out[2] = first and math.max(0, first - now) or -1
  -- Another worker must learn when to fetch again, in case this one dies or is busy then: for the only lease, and for the next
  -- start that a rate allows.
  local told = nothing_ran or waits and opens > now or group_step > 0 and looks
  local workers = started > 0 and told and redis.pcall('ZCARD', WORKERS)
  if type(workers) == 'number' and workers > 1 then wake() end
  return out
end

if simple then
  if #ids > 0 then lease(ids, {}) end
  return answer(#ids == slots and call('EXISTS', READY_NORMAL) == 1, now)
end

-- Rates are kept by GCRA (generic cell rate algorithm): a limiter's key holds the theoretical arrival time of its next start.
-- It is written when jobs start, and never before.

-- When the next start is allowed. 0.01 ms is taken off, because floating point loses that much at this magnitude.
local function opens_at(tat, step, burst) return math.max(now, math.ceil(tat - (burst - 1) * step - 0.01)) end

-- How many may start now, and the limiter's time. A time further ahead than the rate allows comes from another clock or rate and
-- is ignored.
local function allowance(limiter, step, burst)
  local tat = tonumber(text_of(RATE .. limiter) or '0') or 0
  if tat < now or tat > now + burst * step + 1 then tat = now end
  if opens_at(tat, step, burst) > now then return 0, tat end
  return math.max(1, math.floor((now - tat + 0.01) / step + burst)), tat
end

local function charge(limiter, step, tat, starts)
  if starts == 0 then return tat end
  tat = tat + starts * step
  call('SET', RATE .. limiter, tat, 'PX', math.ceil(tat - now) + 1000)
  return tat
end

-- The limits of the queue gate the fetch: jobs that may not start stay in their lists.
local queue_tat
local function gate()
  if global_most > 0 then slots = math.min(slots, global_most - call('ZCARD', LEASES)) end
  if queue_step > 0 then
    local free
    free, queue_tat = allowance('', queue_step, queue_burst)
    slots = math.min(slots, free)
  end
end

local lists = { READY_HIGH, READY_NORMAL, READY_LOW }

local function finish_fetch(looks)
  local opens = now
  if queue_step > 0 then
    opens = opens_at(charge('', queue_step, queue_tat, started), queue_step, queue_burst)
  end
  return answer(call('EXISTS', unpack(lists)) > 0, opens, looks)
end

-- The list that the next job comes from: the highest priority with a job, unless a lower one was passed over nine times.
local passed = { 0, 0, 0 }
local function read_passed()
  local kept = call('HMGET', STATE, 'passed_normal', 'passed_low')
  for i = 1, 2 do passed[i + 1] = math.min(whole(kept[i], 0), 9) end
end
local function choose(has)
  for p = 3, 2, -1 do
    if has[p] and passed[p] >= 9 then return p end
  end
  return has[1] and 1 or has[2] and 2 or has[3] and 3 or nil
end
local function pass_over(chosen, has)
  for p = 2, 3 do passed[p] = p ~= chosen and has[p] and passed[p] + 1 or 0 end
end
local function write_passed() call('HSET', STATE, 'passed_normal', passed[2], 'passed_low', passed[3]) end

-- Takes up to `slots` jobs of the lists, in the order in which they are to start.
local function take_by_priority()
  local left, order, count = {}, {}, { 0, 0, 0 }
  for p = 1, 3 do left[p] = call('LLEN', lists[p]) end
  local sum = left[1] + left[2] + left[3]
  local many = sum > math.max(unpack(left))
  if many then read_passed() end
  for i = 1, math.min(slots, sum) do
    local has = { left[1] > count[1], left[2] > count[2], left[3] > count[3] }
    local p = choose(has)
    pass_over(p, has)
    order[i], count[p] = p, count[p] + 1
  end
  if many and #order > 0 then write_passed() end
  local taken, at, ids = {}, { 0, 0, 0 }, {}
  for p = 1, 3 do taken[p] = count[p] > 0 and call('LPOP', lists[p], count[p]) end
  for i, p in ipairs(order) do
    at[p] = at[p] + 1
    ids[i] = taken[p][at[p]]
  end
  return ids
end

-- Makes due jobs ready.
local function promote()
  if not first_due or first_due > now then return end
  local due = call('ZRANGEBYSCORE', DELAYED, '-inf', now, 'LIMIT', 0, tonumber(ARGV[9]))
  call('ZREM', DELAYED, unpack(due))
  if call('EXISTS', PRIORITY) == 0 then
    call('RPUSH', READY_NORMAL, unpack(due))
  else
    for _, id in ipairs(due) do make_ready(id, false) end
  end
  first_due = first_of(DELAYED)
end

-- Most of the other fetches end here: no lost lease, no limits of groups, nothing parked or cancelled, no step of the clock.
if not expired and not went_back and not grouped and not cancelled and call('EXISTS', PARKED_GROUPS) == 0 then
  if paused then return { 1, -1, now } end
  promote()
  gate()
  local taken = take_by_priority()
  if #taken > 0 then lease(taken, {}) end
  return finish_fetch(nil)
end
