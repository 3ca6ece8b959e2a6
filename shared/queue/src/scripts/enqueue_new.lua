-- Accepts plain jobs whose ids the caller has just generated, so that none is known yet: the usual bulk enqueue. It defines no
-- functions, for the reason given in enqueue_one.lua. ARGV[1] to [5] are those of head.lua.
--
-- Own ARGV: 6 most jobs of the queue (0 any number), then pairs of id and envelope
-- Result: that of enqueue_quick.lua
-- Atomic: all jobs that the queue has room for are accepted, in one go.
-- Bound: the number of jobs given, which the caller keeps at 500.

local call, argv, most, count = redis.call, ARGV, tonumber(ARGV[6]), (#ARGV - 6) / 2
local room = most > 0 and math.max(0, most - call('HLEN', JOBS)) or count
local taken, out = math.min(count, room), {}
for i = taken + 1, count do
  local n = #out
  out[n + 1], out[n + 2], out[n + 3] = i, 6, argv[5 + 2 * i]
end
if taken == 0 then return out end
call('HSET', JOBS, unpack(argv, 7, 6 + 2 * taken))
local ids = {}
for i = 1, taken do ids[i] = argv[5 + 2 * i] end
call('RPUSH', READY_NORMAL, unpack(ids))
if call('EXISTS', WAKE) == 0 then call('LPUSH', WAKE, '1') end
return out
