-- The beginning of every script: names of the keys, and what even the shortest way through a script needs.
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

-- One token is enough: whoever takes it fetches, and a fetch that leaves work behind puts the next token there.
local function wake()
  if call('LLEN', WAKE) == 0 then call('LPUSH', WAKE, '1') end
end

local function make_ready(id, front)
  local list = READY[call('HGET', PRIORITY, id) or 'normal'] or READY.normal
  call(front and 'LPUSH' or 'RPUSH', list, id)
end

-- A cancelled id keeps its place in a list until a fetch passes it. Until then it cannot be used again, or it would stand
-- there twice.
local cancelled = call('EXISTS', CANCELLED) == 1
local added = false

