-- Prepended to every script: names of the keys and the transitions that several scripts share.
--
-- KEYS (the same for every script, in this order):
--   1 jobs, 2 ready:high, 3 ready:normal, 4 ready:low, 5 delayed, 6 leases, 7 dead, 8 attempts, 9 errors,
--   10 priority, 11 group, 12 cancelled, 13 cancelling, 14 state, 15 wake, 16 events, 17 unique_queued,
--   18 unique_done, 19 running, 20 parked_count, 21 reserved, 22 workers, 23 worker_info, 24 cron, 25 cron_jobs,
--   26 intake, 27 unique: (prefix), 28 parked: (prefix), 29 rate: (prefix), 30 planned
-- Names made of the three prefixes share the hash tag of the queue, so they live on the same node.
--
-- ARGV[1] is the time in milliseconds, 0 for the clock of Redis (tests give their own). ARGV[2] is the history kept,
-- 'full' or 'failures'. ARGV[3] is how many stream entries are kept. ARGV[4] is how many errors are kept with a job.
-- The script's own arguments follow.

local JOBS, DELAYED, LEASES, DEAD, ATTEMPTS, ERRORS = KEYS[1], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local PRIORITY, GROUP, CANCELLED, CANCELLING = KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local STATE, WAKE, EVENTS, UNIQUE_QUEUED, UNIQUE_DONE = KEYS[14], KEYS[15], KEYS[16], KEYS[17], KEYS[18]
local RUNNING, PARKED_COUNT, RESERVED, WORKERS, WORKER_INFO = KEYS[19], KEYS[20], KEYS[21], KEYS[22], KEYS[23]
local CRON, CRON_JOBS, INTAKE, UNIQUE, PARKED, RATE = KEYS[24], KEYS[25], KEYS[26], KEYS[27], KEYS[28], KEYS[29]
local PLANNED = KEYS[30]
local READY = { high = KEYS[2], normal = KEYS[3], low = KEYS[4] }
local call = redis.call

local now = tonumber(ARGV[1])
if now == 0 then
  local t = call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local FULL = ARGV[2] == 'full'
local EVENTS_KEPT = ARGV[3]
local ERRORS_KEPT = tonumber(ARGV[4])

-- A count as it stands in Redis. What is none was planted by hand; it must not stop a script, and with it the queue.
local function whole(text, otherwise)
  return tonumber(text and string.match(text, '^%d+$') or otherwise)
end

-- Events of one script call go into the stream together: at most 50, or 64 KiB, to an entry.
local pending_events, pending_bytes = {}, 0
local function flush_events()
  if #pending_events > 0 then
    call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_KEPT, '*', unpack(pending_events))
    pending_events, pending_bytes = {}, 0
  end
end
local function event(word, id, data)
  if #pending_events >= 100 or pending_bytes + #data > 65536 then flush_events() end
  local n = #pending_events
  pending_events[n + 1] = word .. ' ' .. id
  pending_events[n + 2] = data
  pending_bytes = pending_bytes + #data
end

-- With a history of failures alone the reader has not seen the envelope yet when something fails.
local function failure_event(word, id, data)
  if not FULL then
    local envelope = call('HGET', JOBS, id)
    if envelope then event('enqueued', id, envelope) end
  end
  event(word, id, data)
end

-- One token is enough: whoever takes it fetches, and a fetch that leaves work behind puts the next token there.
local function wake()
  if call('LLEN', WAKE) == 0 then call('LPUSH', WAKE, '1') end
end

local function make_ready(id, front)
  local list = READY[call('HGET', PRIORITY, id) or 'normal'] or READY.normal
  call(front and 'LPUSH' or 'RPUSH', list, id)
end

local function make_delayed(id, due)
  call('ZADD', DELAYED, due, id)
  local first = call('ZRANGE', DELAYED, 0, 0)
  if first[1] == id then wake() end
end

local function add_error(id, line)
  local old = call('HGET', ERRORS, id)
  if old then
    local cut = 0
    for _ = 2, ERRORS_KEPT do
      cut = string.find(old, '\n', cut + 1, true)
      if not cut then break end
    end
    if ERRORS_KEPT > 1 then line = line .. '\n' .. (cut and string.sub(old, 1, cut - 1) or old) end
  end
  call('HSET', ERRORS, id, line)
end

-- A job that waits for its turn in a rate has a place planned: RESERVED says in which limiter, PLANNED how many it has.
local function unplan(id)
  local limiter = call('HGET', RESERVED, id)
  if not limiter then return end
  call('HDEL', RESERVED, id)
  if call('HINCRBY', PLANNED, limiter, -1) <= 0 then
    call('HDEL', PLANNED, limiter)
    call('DEL', RATE .. 'plan|' .. limiter)
  end
end

local function release_unique(id)
  for _, holder in ipairs({ UNIQUE_DONE, UNIQUE_QUEUED }) do
    local key = call('HGET', holder, id)
    if key then
      call('HDEL', holder, id)
      if call('GET', UNIQUE .. key) == id then call('DEL', UNIQUE .. key) end
    end
  end
end

-- Forgets everything about jobs that are finished. At most a few hundred ids at once.
local function forget(ids)
  if #ids == 0 then return end
  if call('EXISTS', UNIQUE_DONE, UNIQUE_QUEUED) > 0 then
    for _, id in ipairs(ids) do release_unique(id) end
  end
  if call('EXISTS', RESERVED) == 1 then
    for _, id in ipairs(ids) do unplan(id) end
  end
  for _, hash in ipairs({ JOBS, ATTEMPTS, ERRORS, PRIORITY, GROUP, CANCELLING }) do call('HDEL', hash, unpack(ids)) end
end

-- Group limits: a lease that counts for a group carries its name.
local function enter_group(group)
  call('HINCRBY', RUNNING, group, 1)
end

-- Brings parked jobs of a group back to the front, at most `count`, in their order. Cancelled ones are passed over.
local function unpark(group, count)
  local ids = {}
  while #ids < count do
    local id = call('LPOP', PARKED .. group)
    if not id then break end
    if call('HINCRBY', PARKED_COUNT, group, -1) <= 0 then call('HDEL', PARKED_COUNT, group) end
    if call('SREM', CANCELLED, id) == 0 then ids[#ids + 1] = id end
  end
  for i = #ids, 1, -1 do make_ready(ids[i], true) end
  if #ids > 0 then wake() end
end

local function leave_group(group)
  if group == '' then return end
  if call('HINCRBY', RUNNING, group, -1) <= 0 then call('HDEL', RUNNING, group) end
  unpark(group, 1)
end

-- A lease is 'id|holder|attempt|number|group'. The number is the time and the count of the fetch, so that no two leases are
-- ever the same, also where one worker gets an attempt again that did not count.
local function split_lease(member)
  local id, holder, attempt, _, group = string.match(member, '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|(.*)$')
  return id, holder, attempt, group
end

-- By pattern, because a decoder may refuse what a payload holds. 'max' stands before the payload; an envelope that was
-- restored from Postgres has a space before the number.
local function max_attempts(id)
  local envelope = call('HGET', JOBS, id)
  if not envelope then return nil end
  return tonumber(string.match(envelope, '"max":%s*(%d+)')) or 1
end

local function kill(id, data)
  failure_event('dead', id, data)
  release_unique(id)
  call('HDEL', CANCELLING, id)
  call('ZADD', DEAD, now, id)
end

-- Leases that ran out: their worker is lost. The attempt counts; the job runs again, or is dead when that was the last.
-- At most `limit` leases a call. Answers how many.
local function reap(limit)
  local expired = call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, limit)
  for _, member in ipairs(expired) do
    call('ZREM', LEASES, member)
    local id, holder, attempt, group = split_lease(member)
    if id then
      leave_group(group)
      local most = max_attempts(id)
      if most then
        attempt = whole(attempt, 1)
        call('HSET', ATTEMPTS, id, attempt)
        local stopped = call('HGET', CANCELLING, id)
        local message = 'worker lost: ' .. holder .. ' stopped renewing its lease'
        local data = cjson.encode({ attempt = attempt, worker = holder, error = message, at = now })
        add_error(id, data)
        if stopped then
          failure_event('cancelled', id, cjson.encode({ attempt = attempt, worker = holder, error = stopped }))
          forget({ id })
        elseif attempt >= most then
          kill(id, data)
        else
          failure_event('lost', id, data)
          make_ready(id, true)
          wake()
        end
      end
    end
  end
  if #expired > 0 then wake() end
  return #expired
end

-- A cancelled id keeps its place in a list until a fetch passes it. Until then it cannot be used again, or it would stand
-- there twice.
local cancelled = call('EXISTS', CANCELLED) == 1
local added = false

-- The jobs that run, read once for a call.
local running_ids
local function is_running(id)
  if not running_ids then
    running_ids = {}
    for _, member in ipairs(call('ZRANGE', LEASES, 0, -1)) do running_ids[(split_lease(member))] = true end
  end
  return running_ids[id]
end

-- A lock with an end is that of a window: it holds whatever became of its job.
local function holds(lock, holder)
  return call('HEXISTS', JOBS, holder) == 1 or call('PTTL', lock) >= 0
end

-- Removes a waiting job that a new one replaces. False when it is done, running or dead and cannot be replaced.
local function remove_waiting(id)
  if call('HEXISTS', JOBS, id) == 0 then return false end
  if call('ZREM', DELAYED, id) == 0 then
    if call('ZSCORE', DEAD, id) or is_running(id) then return false end
    call('SADD', CANCELLED, id)
    cancelled = true
  end
  failure_event('cancelled', id, cjson.encode({ error = 'replaced by a newer job with the same unique key' }))
  forget({ id })
  return true
end


local function hold_unique(id, o)
  if type(o.s) == 'number' then
    call('SET', UNIQUE .. o.u, id, 'PX', o.s)
  else
    call('SET', UNIQUE .. o.u, id)
    call('HSET', o.s == 'queued' and UNIQUE_QUEUED or UNIQUE_DONE, id, o.u)
  end
end

-- Accepts one job; the codes are those of enqueue.lua.
local function accept(id, envelope, o)
  if cancelled and call('SISMEMBER', CANCELLED, id) == 1 then return 1, id end
  if not o then
    if call('HSETNX', JOBS, id, envelope) == 0 then return 1, id end
    call('RPUSH', READY.normal, id)
    added = true
    return 0, id
  end
  if o.i and call('ZSCORE', INTAKE, o.i) then return 5, id end
  local function remember()
    if o.i then call('ZADD', INTAKE, now, o.i) end
  end
  if call('HEXISTS', JOBS, id) == 1 then
    remember()
    return 1, id
  end
  local code, other = 0, id
  if o.u then
    local lock = UNIQUE .. o.u
    local holder = call('GET', lock)
    if holder and not holds(lock, holder) then holder = false end
    if holder then
      if o.c == 'keep' then return 3, holder end
      if o.c ~= 'replace' or not remove_waiting(holder) then return 2, holder end
      code, other = 4, holder
    end
    hold_unique(id, o)
  end
  remember()
  call('HSET', JOBS, id, envelope)
  if o.p then call('HSET', PRIORITY, id, o.p) end
  if o.g then call('HSET', GROUP, id, o.g) end
  if o.at and o.at > now then
    make_delayed(id, o.at)
  else
    make_ready(id, false)
    added = true
  end
  return code, other
end
