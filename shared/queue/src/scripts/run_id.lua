-- Tells whether Redis was restarted or replaced since the queue was last compared with Postgres.
--
-- Own ARGV: 6 the run for which that was done, '' to ask.
-- Result: the run of this Redis if the queue was not compared since it began, else ''.
-- Atomic. Bound: two calls. A run is the run id, which is new at every start of a server, and the replication id, which is new
-- at every promotion. So a server that comes back with older data, empty, as a replica of another, or after a failover there and
-- back, has a run that the queue does not know.

if ARGV[6] ~= '' then call('HSET', STATE, 'run_id', ARGV[6]) end
local run_id = string.match(call('INFO', 'server'), 'run_id:(%x+)') or ''
local replication = string.match(call('INFO', 'replication'), 'master_replid:(%x+)') or ''
local run = run_id .. ':' .. replication
return call('HGET', STATE, 'run_id') ~= run and run or ''
