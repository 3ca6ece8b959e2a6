-- Cancels a job.
--
-- Own ARGV: 6 id, 7 reason, 8 data (JSON of the event).
-- Result: 'cancelled' (it was waiting or delayed) · 'cancelling' (it is running; a heartbeat tells its worker) · 'dead' (it is in
--   the dead letters) · 'unknown'
-- Atomic.
-- Bound: the leases of the queue, that is the jobs running at this moment.

local id, reason = ARGV[6], ARGV[7]
if not found(id) then return 'unknown' end
if call('ZSCORE', DEAD, id) then return 'dead' end
if call('ZREM', DELAYED, id) == 0 then
  if is_running(id) then
    call('HSET', CANCELLING, id, reason)
    return 'cancelling'
  end
  call('SADD', CANCELLED, id)
end
failure_event('cancelled', id, ARGV[8])
forget({ id })
flush_events()
return 'cancelled'
