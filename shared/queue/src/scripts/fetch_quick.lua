-- Leases ready jobs to a worker: reaps lost leases, promotes due jobs, reads by priority, in one round trip. Here is what
-- most fetches need; fetch.lua goes on where a lease ran out or a limit holds.
--
-- Own ARGV: 6 slots, 7 lease ms, 8 holder, 9 most jobs promoted, 10 most leases reaped, 11 group concurrency (0 none),
--   12 group rate: interval ms between starts (0 none), 13 group burst, 14 queue rate: interval ms (0 none), 15 queue burst,
--   16 global concurrency (0 none), 17 what the worker says of itself (JSON, '' to leave it as it is), 18 what it must have
--   said for this fetch to count ('' anything); with it nothing is reaped, and where a lease ran out it does not count
-- Result: { 0, 3 where fetch_behind.lua would have done, 1 for a paused queue, or 2 where the fetch does not count; ms until
--   the next job is due or a lease ends (-1 none); the time; then, where it is 0 or 3, what follows the id in the lease
--   members of the first jobs, all of them first attempts of no group; their ids, 26 bytes each, behind one another; the list
--   of their envelopes; then for each job after them its envelope and its lease member }
-- Atomic: a job is in exactly one of ready, delayed, parked, leases and dead before and after.
-- Bound: slots + jobs promoted + leases reaped + 3 times the slots looked at for limits + 10 groups of parked jobs.

local slots, lease_ms, holder = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local group_most, group_step, group_burst = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local queue_step, queue_burst, global_most = tonumber(ARGV[14]), tonumber(ARGV[15]), tonumber(ARGV[16])

local limited = group_most > 0 or group_step > 0 or queue_step > 0
-- The first of a sorted set: when, or nil.
local function first_of(set)
  local first = call('ZRANGE', set, '0', '0', 'WITHSCORES')
  return tonumber(first[2])
end

-- What makes a fetch more than first attempts taken from one list. Parts are looked for along with it.
local there = call('EXISTS', PARTS, CANCELLED, PARKED_COUNT, DELAYED, ATTEMPTS, UNIQUE_QUEUED, READY_HIGH, READY_LOW)
parts_from = false
if there > 0 then read_parts() end
local first_due = there > 0 and first_of(DELAYED) or nil
-- Jobs that lie in parts, and those that are not due, hold nothing up.
local unusual = there > (parts_from and 1 or 0) + (first_due and first_due > now and 1 or 0)
local cancelled, added = unusual and call('EXISTS', CANCELLED) == 1, false

-- The first write decides whether Redis lets a script run at its memory limit. Taking jobs must work then, or nothing would
-- ever make room.
local function write_first() call('ZREM', WORKERS, '') end

local most_reaped = tonumber(ARGV[10])
local first_lease = first_of(LEASES)
local nothing_ran = not first_lease
local expired = most_reaped > 0 and first_lease and first_lease <= now
-- One that was sent along with a blocking read may run late: when the worker has left, or has given its connection up, or
-- cannot hear. It takes no part in judging who is lost: after an outage every lease looks so.
if ARGV[18] ~= '' and (expired or call('HGET', WORKER_INFO, holder) ~= ARGV[18]) then
  write_first()
  wake()
  return { 2, -1, now }
end

local paused = call('HGET', STATE, 'paused') == '1'
local simple = not (unusual or expired or limited or paused or global_most > 0)
-- Where all is simple, the jobs themselves are what is written first.
local ids = simple and (call('LPOP', READY_NORMAL, ARGV[6]) or {})
if not simple then write_first() end
-- Jobs may have been taken by now. They must not be lost because the list of workers is something else, planted by hand.
redis.pcall('ZADD', WORKERS, digits(now), holder)
if ARGV[17] ~= '' then redis.pcall('HSET', WORKER_INFO, holder, ARGV[17]) end

local started = 0
-- An answer costs by the number of its parts, so what first attempts of no group have in common is told once, for as many as
-- come before any other.
local plain_ids, plain_envelopes, plain = {}, {}, 0
local out = { simple and not parts_from and 3 or 0, -1, now, '', '', plain_envelopes }

-- Milliseconds until a job becomes due or a lease ends, -1 for neither.
local function next_change(first_due)
  local first = first_due
  if most_reaped > 0 then
    local ends = first_lease or (started > 0 and now + lease_ms) or nil
    if ends and not (first and first < ends) then first = ends end
  end
  return first and math.max(0, first - now) or -1
end

local number
local ahead = #out
local written = ahead
local ends = digits(now + lease_ms)

-- Leases jobs, and writes them into the answer; `groups` has the group that a lease counts for. Answers the groups of those
-- whose envelope is missing.
local function lease(ids, groups)
  if not number then
    local count = redis.pcall('HINCRBY', STATE, 'fetches', '1')
    -- What is no number was planted by hand; the jobs that are taken by now must not be lost for it.
    if type(count) ~= 'number' then
      count = 1
      call('HSET', STATE, 'fetches', '1')
    end
    -- The count alone would be given again by a Redis that lost its last second.
    number = digits(now) .. '.' .. digits(count)
  end
  local envelopes = envelopes_of(ids, homes(ids))
  local kept = not simple and call('EXISTS', ATTEMPTS, UNIQUE_QUEUED) > 0
  local attempts = kept and call('EXISTS', ATTEMPTS) == 1 and call('HMGET', ATTEMPTS, unpack(ids)) or {}
  local until_start = kept and call('EXISTS', UNIQUE_QUEUED) == 1
  local before, after, first = '|' .. holder .. '|', '|' .. number .. '|', '|' .. holder .. '|1|' .. number .. '|'
  out[4] = first
  local leases, n, gone = {}, 0, {}
  for i, id in ipairs(ids) do
    local envelope = envelopes[i] or parts_from and call('HGET', JOBS, id)
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

local function answer(drained, first_due)
  flush_events()
  out[5] = table.concat(plain_ids)
  -- Where the limit over all processes is reached, the end of a job leaves a token: nobody is woken in vain.
  local at_limit = global_most > 0 and call('ZCARD', LEASES) >= global_most
  if not drained and not at_limit and call('EXISTS', READY_HIGH, READY_NORMAL, READY_LOW) > 0 then
    wake()
    out[2] = 0
  else
    out[2] = next_change(first_due)
    -- The first lease after a quiet time: one idle worker must learn of it, to take over should its holder die.
    local workers = nothing_ran and started > 0 and redis.pcall('ZCARD', WORKERS)
    if type(workers) == 'number' and workers > 1 then wake() end
  end
  return out
end

if simple then
  if #ids > 0 then lease(ids, {}) end
  return answer(#ids < slots, first_due)
end

-- One job of ten is left to each lower priority while higher work is there; fractions are carried over in `state`.
local function share(count, field)
  local credit = count + tonumber(call('HGET', STATE, field) or '0')
  call('HSET', STATE, field, credit % 10)
  return math.min(count, math.floor(credit / 10))
end

-- Takes up to `count` jobs. Answers their ids, and whether that were all.
local function take_by_priority(count)
  local high, normal, low = call('LLEN', READY_HIGH), call('LLEN', READY_NORMAL), call('LLEN', READY_LOW)
  local all, ids = high + normal + low, {}
  local function take(list, most)
    if most <= 0 then return 0 end
    local n, taken = #ids, call('LPOP', list, most)
    for i, id in ipairs(taken) do ids[n + i] = id end
    return #taken
  end
  local first_low = low > 0 and high + normal > 0 and math.min(low, share(count, 'floor_low')) or 0
  local first_normal = normal > 0 and high > 0 and math.min(normal, count - first_low, share(count, 'floor_normal')) or 0
  low = low - take(READY_LOW, first_low)
  normal = normal - take(READY_NORMAL, first_normal)
  take(READY_HIGH, math.min(high, count - #ids))
  take(READY_NORMAL, math.min(normal, count - #ids))
  take(READY_LOW, math.min(low, count - #ids))
  return ids, #ids == all
end

-- Takes jobs until the slots are full. `choose` answers which of some may start, and their groups; `leave` is told of groups
-- that are left at once. Answers whether nothing is ready any more.
local function fill(choose, leave)
  local looked, drained = 0, false
  while started < slots and looked < 3 * slots and not drained do
    local ids, groups
    ids, drained = take_by_priority(slots - started)
    if #ids == 0 then break end
    looked, groups = looked + #ids, {}
    if choose then ids, groups = choose(ids) end
    if #ids > 0 then
      for _, group in ipairs(lease(ids, groups)) do leave(group) end
    end
  end
  return drained
end

-- Makes due jobs ready. Answers when the next is due.
local function promote()
  if not first_due or first_due > now then return first_due end
  local due = call('ZRANGEBYSCORE', DELAYED, '-inf', now, 'LIMIT', 0, tonumber(ARGV[9]))
  call('ZREM', DELAYED, unpack(due))
  if call('EXISTS', PRIORITY) == 0 then
    call('RPUSH', READY_NORMAL, unpack(due))
  else
    for _, id in ipairs(due) do make_ready(id, false) end
  end
  return first_of(DELAYED)
end

-- Most others find no lease that ran out, no limit, nothing parked and nothing cancelled.
if not expired and not limited and not cancelled and call('EXISTS', PARKED_COUNT) == 0 then
  if paused then return { 1, -1, now } end
  first_due = promote()
  if global_most > 0 then slots = math.min(slots, global_most - call('ZCARD', LEASES)) end
  return answer(fill(), first_due)
end
