-- Accepts one plain job: an enqueue without options. It does not use the functions of the other scripts, because creating
-- one costs as much as a command. ARGV[1] to [5] are those of head.lua.
--
-- Own ARGV: 6 most jobs of the queue (0 any number), 7 id, 8 envelope
-- Result: that of enqueue_quick.lua
-- Atomic: the job is accepted completely or not at all.
-- Bound: one job.

local call = redis.call
local event_time = nil
local most, id, envelope = tonumber(ARGV[6]), ARGV[7], ARGV[8]
-- One command for both: usually nothing is cancelled, and an idle worker has taken the last token.
local there = call('EXISTS', CANCELLED, WAKE)
local token = there > 0 and call('EXISTS', WAKE) or 0
if there > token and call('SISMEMBER', CANCELLED, id) == 1 then return { 1, 1, id } end
if most > 0 and call('HLEN', JOBS) >= most and call('HEXISTS', JOBS, id) == 0 then return { 1, 6, id } end
if call('HSETNX', JOBS, id, envelope) == 0 then return { 1, 1, id } end
call('RPUSH', READY_NORMAL, id)
if token == 0 then call('LPUSH', WAKE, '1') end
if ARGV[2] ~= 'full' then return {} end
