-- Prepended to every script: names of the keys and the transitions that several scripts share.
--
-- KEYS (the same for every script, in this order):
--   1 jobs, 2 ready:high, 3 ready:normal, 4 ready:low, 5 delayed, 6 leases, 7 dead, 8 attempts, 9 errors,
--   10 priority, 11 group, 12 cancelled, 13 cancelling, 14 state, 15 wake, 16 events, 17 unique_queued,
--   18 unique_done, 19 running, 20 parked_count, 21 reserved, 22 workers, 23 worker_info, 24 cron, 25 cron_jobs,
--   26 intake, 27 unique: (prefix), 28 parked: (prefix), 29 rate: (prefix)
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

-- Events of one script call go into the stream together, at most 500 pairs to an entry.
local pending_events = {}
local function event(word, id, data)
  local n = #pending_events
  pending_events[n + 1] = word .. ' ' .. id
  pending_events[n + 2] = data
  if n + 2 >= 1000 then
    call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_KEPT, '*', unpack(pending_events))
    pending_events = {}
  end
end
local function flush_events()
  if #pending_events > 0 then
    call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_KEPT, '*', unpack(pending_events))
    pending_events = {}
  end
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
  local list = READY[call('HGET', PRIORITY, id) or 'normal']
  call(front and 'LPUSH' or 'RPUSH', list, id)
end

local function make_delayed(id, due)
  call('ZADD', DELAYED, due, id)
  local first = call('ZRANGE', DELAYED, 0, 0)
  if first[1] == id then wake() end
end

local function add_error(id, line)
  local kept, count = line, 1
  local old = call('HGET', ERRORS, id)
  if old then
    for one in string.gmatch(old, '[^\n]+') do
      if count >= ERRORS_KEPT then break end
      kept = kept .. '\n' .. one
      count = count + 1
    end
  end
  call('HSET', ERRORS, id, kept)
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
  for _, hash in ipairs({ JOBS, ATTEMPTS, ERRORS, PRIORITY, GROUP, CANCELLING }) do call('HDEL', hash, unpack(ids)) end
  call('SREM', RESERVED, unpack(ids))
end

-- Group limits: a lease that counts for a group carries its name.
local function enter_group(group)
  call('HINCRBY', RUNNING, group, 1)
end

local function leave_group(group)
  if group == '' then return end
  if call('HINCRBY', RUNNING, group, -1) <= 0 then call('HDEL', RUNNING, group) end
  local parked = call('LPOP', PARKED .. group)
  if parked then
    if call('HINCRBY', PARKED_COUNT, group, -1) <= 0 then call('HDEL', PARKED_COUNT, group) end
    make_ready(parked, true)
    wake()
  end
end

-- A lease is 'id|holder|attempt|group'.
local function split_lease(member)
  return string.match(member, '^([^|]*)|([^|]*)|([^|]*)|(.*)$')
end

local function max_attempts(id)
  local envelope = call('HGET', JOBS, id)
  if not envelope then return nil end
  local ok, decoded = pcall(cjson.decode, envelope)
  if ok and type(decoded) == 'table' and type(decoded['max']) == 'number' then return decoded['max'] end
  return 1
end

local function kill(id, data)
  failure_event('dead', id, data)
  release_unique(id)
  call('HDEL', CANCELLING, id)
  call('SREM', RESERVED, id)
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
        attempt = tonumber(attempt)
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
  return #expired
end
