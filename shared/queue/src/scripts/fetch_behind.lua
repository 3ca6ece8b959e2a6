-- The fetch that an idle worker sends along with its blocking read (decision 8), for a plain queue: nothing is ready but first
-- attempts of normal priority, and nothing else needs attention.
--
-- It saves about ten commands of fetch_quick.lua and all functions, each of which costs as much as a command. An idle
-- worker starts a lone job after 1.6 to 1.8 times the bare hand-over of Redis instead of 1.7 to 2.1 (decision 8).
-- tests/differential checks that the results are the same. ARGV[1] to [5] are those of head.lua.
--
-- Own ARGV: 6 slots, 7 lease ms, 8 holder, 9 most leases reaped by the general fetch, 10 the description that
--   WORKER_INFO must have of the worker, else the fetch takes nothing
-- Result: that of fetch_quick.lua, with a state of 2 or 3
-- Atomic: as fetch_quick.lua; if the result is 2, nothing is taken.
-- Bound: slots.

local call = redis.call
local holder, lease_ms, reaps = ARGV[8], tonumber(ARGV[7]), ARGV[9] ~= '0'
local now, event_time = tonumber(ARGV[1]), nil
if now == 0 then
  local t = call('TIME')
  event_time = t
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
-- One command for all: usually none of them exists.
local there = call('EXISTS', LEASES, DELAYED, CANCELLED, PARKED_GROUPS, ATTEMPTS, READY_HIGH, READY_LOW)
local due, ends
if there > 0 then
  due = tonumber(call('ZRANGE', DELAYED, '0', '0', 'WITHSCORES')[2])
  ends = tonumber(call('ZRANGE', LEASES, '0', '0', 'WITHSCORES')[2])
end
-- The time of the last fetch. If it is ahead, by the same margin as in fetch_quick.lua, the clock went back: fetch.lua handles that.
local state = call('HMGET', STATE, 'paused', 'clock')
local clock = tonumber(state[2] or 0) or 0
-- The bound on the end of a lease is that of common.lua.
if there > (due and 1 or 0) + (ends and 1 or 0) or due and due <= now or clock > now + 5000
  or reaps and ends and (ends <= now or ends > now + 2 * lease_ms + 60000)
  or state[1] == '1' or call('HGET', WORKER_INFO, holder) ~= ARGV[10] then
  -- The same as `write_first` and `wake` of the other scripts.
  call('ZREM', WORKERS, '')
  if call('LLEN', WAKE) == 0 then call('LPUSH', WAKE, '1') end
  return { 2, -1, now }
end

local ids = call('LPOP', READY_NORMAL, ARGV[6]) or {}
local seen = string.format('%d', now)
-- Jobs may have been popped by now. They must not be lost because WORKERS is of another type, written by hand.
redis.pcall('ZADD', WORKERS, seen, holder)
-- Written rarely, because it costs a command: only larger steps of the clock matter.
if clock < now - 5000 or clock > now then call('HSET', STATE, 'clock', seen) end
local out, leases, n, nothing_ran = { 3, -1, now, '', '', {} }, {}, 0, not ends
if #ids > 0 then
  local count = redis.pcall('HINCRBY', STATE, 'fetches', '1')
  if type(count) ~= 'number' then
    count = 1
    call('HSET', STATE, 'fetches', '1')
  end
  local after = '|' .. holder .. '|1|' .. seen .. '.' .. string.format('%d', count) .. '|'
  local until_ms = string.format('%d', now + lease_ms)
  for i, envelope in ipairs(call('HMGET', JOBS, unpack(ids))) do
    if envelope then
      local member = ids[i] .. after
      leases[n + 1], leases[n + 2] = until_ms, member
      out[n + 7], out[n + 8] = envelope, member
      n = n + 2
    end
  end
end
if n > 0 then
  call('ZADD', LEASES, unpack(leases))
  ends = ends or now + lease_ms
end

local more = #ids == tonumber(ARGV[6]) and call('EXISTS', READY_NORMAL) == 1
local next_end = reaps and ends or nil
local first = due and next_end and math.min(due, next_end) or due or next_end
out[2] = more and 0 or first and first - now or -1
-- This is the only lease, so another worker must learn of it, to take over if this one dies.
if more or n > 0 and nothing_ran and redis.pcall('ZCARD', WORKERS) ~= 1 then
  if call('LLEN', WAKE) == 0 then call('LPUSH', WAKE, '1') end
end
if n == 0 or ARGV[2] ~= 'full' then return out end
