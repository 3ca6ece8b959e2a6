-- Counts what the queue holds.
--
-- Result: ready of high, normal and low priority, delayed, of these overdue (nobody has fetched since they became due), leased,
--   dead, workers seen within a minute, entries of the stream of events, cancelled ids that still stand in a list, unfinished
--   and dead jobs, jobs that wait for a worker that knows their kind
--   A worker that was seen further ahead than that was seen by another clock, and has not been heard of since.
-- Atomic: all of one moment. It writes nothing, so it works at the memory limit, too, where a transaction does not.
-- Bound: constant.

return {
  call('LLEN', READY_HIGH), call('LLEN', READY_NORMAL), call('LLEN', READY_LOW),
  call('ZCARD', DELAYED), call('ZCOUNT', DELAYED, '-inf', digits(now - 1000)),
  call('ZCARD', LEASES), call('ZCARD', DEAD), call('ZCOUNT', WORKERS, digits(now - 60000), digits(now + 60000)),
  call('XLEN', EVENTS), call('SCARD', CANCELLED), call('HLEN', JOBS), call('HLEN', UNKNOWN_KIND),
}
