-- Fires a tick of a cron entry, once over all machines.
--
-- Own ARGV: 6 entry, 7 tick ms, 8 'skip' or 'allow' overlap, 9 id, 10 envelope, 11 options as in enqueue.lua
-- Result: 'fired' · 'passed' (this tick or a later one was fired before) · 'overlap' (the job of an earlier tick is
--   unfinished, or another job holds its unique key)
-- Atomic. Bound: constant.

local entry, tick, id, options = ARGV[6], tonumber(ARGV[7]), ARGV[9], ARGV[11]
-- A last tick far in the future was fired by another clock, and one that is not a number was written by hand: both are ignored.
local last_tick = whole(call('HGET', CRON, entry), -1)
if last_tick >= tick and last_tick <= now + 60000 then return 'passed' end
call('HSET', CRON, entry, tick)
if ARGV[8] == 'skip' then
  local last = call('HGET', CRON_JOBS, entry)
  if last and found(last) and not call('ZSCORE', DEAD, last) then return 'overlap' end
end
local code = accept(id, ARGV[10], options ~= '' and cjson.decode(options) or nil, math.huge)
if code == 1 then return 'passed' end
if code ~= 0 and code ~= 4 then return 'overlap' end
call('HSET', CRON_JOBS, entry, id)
if FULL then event('enqueued', id, ARGV[10]) end
flush_events()
wake()
return 'fired'
