-- Accepts one plain job: what an enqueue without options needs, and nothing else. It stands alone, since each function that
-- head.lua makes costs as much as a command. ARGV[1] to [4] are told there.
--
-- Own ARGV: 5 id, 6 envelope
-- Result: as that of enqueue_quick.lua
-- Atomic: it is accepted whole or not at all.
-- Bound: one job.

local call = redis.call
local id, envelope = ARGV[5], ARGV[6]
-- One look for both: hardly ever is anything cancelled, and an idle worker has taken the last token.
local there = call('EXISTS', CANCELLED, WAKE)
local token = there > 0 and call('EXISTS', WAKE) or 0
if there > token and call('SISMEMBER', CANCELLED, id) == 1 or call('HSETNX', JOBS, id, envelope) == 0 then
  return { 1, 1, id }
end
call('RPUSH', READY_NORMAL, id)
if ARGV[2] == 'full' then call('XADD', EVENTS, 'MAXLEN', '~', ARGV[3], '*', 'enqueued ' .. id, envelope) end
if token == 0 then call('LPUSH', WAKE, '1') end
return {}
