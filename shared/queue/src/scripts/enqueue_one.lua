-- Accepts one plain job: what an enqueue without options needs, and nothing else.
--
-- Own ARGV: 5 id, 6 envelope
-- Result: as that of enqueue_quick.lua
-- Atomic: it is accepted whole or not at all.
-- Bound: one job.

local id, envelope = ARGV[5], ARGV[6]
if cancelled and call('SISMEMBER', CANCELLED, id) == 1 or call('HSETNX', JOBS, id, envelope) == 0 then
  return { 1, 1, id }
end
call('RPUSH', READY_NORMAL, id)
if FULL then
  event('enqueued', id, envelope)
  flush_events()
end
wake()
return {}
