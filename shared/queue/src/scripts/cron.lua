-- Fires a tick of a cron entry, once over all machines.
--
-- Own ARGV: 5 entry, 6 tick ms, 7 'skip' or 'allow' overlap, 8 id, 9 envelope, 10 priority, 11 group
-- Result: 'fired' · 'passed' (this tick or a later one was fired before) · 'overlap' (the job of an earlier tick is unfinished)
-- Atomic. Bound: constant.

local entry, tick, id = ARGV[5], tonumber(ARGV[6]), ARGV[8]
if tonumber(call('HGET', CRON, entry) or '-1') >= tick then return 'passed' end
call('HSET', CRON, entry, tick)
if ARGV[7] == 'skip' then
  local last = call('HGET', CRON_JOBS, entry)
  if last and call('HEXISTS', JOBS, last) == 1 and not call('ZSCORE', DEAD, last) then return 'overlap' end
end
call('HSET', CRON_JOBS, entry, id)
if call('HSETNX', JOBS, id, ARGV[9]) == 0 then return 'passed' end
if ARGV[10] ~= 'normal' then call('HSET', PRIORITY, id, ARGV[10]) end
if ARGV[11] ~= '' then call('HSET', GROUP, id, ARGV[11]) end
make_ready(id, false)
if FULL then event('enqueued', id, ARGV[9]) end
flush_events()
wake()
return 'fired'
