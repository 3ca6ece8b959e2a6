-- Counts the jobs of the queue by state, its workers, and the entries of its event stream.
--
-- Result: ready of high, normal and low priority, delayed, of these overdue (no fetch has run since they became due), leased,
--   dead, workers seen within a minute, entries of the stream of events, cancelled ids that are still in a list, unfinished
--   and dead jobs, jobs that wait for a worker that knows their kind. A worker seen more than a minute in the future was
--   last seen by another clock and is not counted.
-- Atomic: all counts are of one moment. It writes nothing, so unlike a transaction it also works at the memory limit.
-- Bound: constant.

return {
  call('LLEN', READY_HIGH), call('LLEN', READY_NORMAL), call('LLEN', READY_LOW),
  call('ZCARD', DELAYED), call('ZCOUNT', DELAYED, '-inf', digits(now - 1000)),
  call('ZCARD', LEASES), call('ZCARD', DEAD), call('ZCOUNT', WORKERS, digits(now - 60000), digits(now + 60000)),
  call('XLEN', EVENTS), call('SCARD', CANCELLED), call('HLEN', JOBS), call('HLEN', UNKNOWN_KIND),
}
