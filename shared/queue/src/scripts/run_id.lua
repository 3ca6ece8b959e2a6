-- Tells whether this Redis was started again, or is another one, since the queue was last held against what is known outside.
--
-- Own ARGV: 6 the run that was held against it, '' to ask.
-- Result: the run of this Redis when the queue was not held against it yet, else ''.
-- Atomic. Bound: two calls. A run is the run id, which is drawn anew at every start of a server, and the replication id, which is
-- drawn anew at every promotion: a server that comes back with older data, as an empty one, as a replica of another, or that was
-- failed over to and back, has a run that the queue does not know.

if ARGV[6] ~= '' then call('HSET', STATE, 'run_id', ARGV[6]) end
local run_id = string.match(call('INFO', 'server'), 'run_id:(%x+)') or ''
local replication = string.match(call('INFO', 'replication'), 'master_replid:(%x+)') or ''
local run = run_id .. ':' .. replication
return call('HGET', STATE, 'run_id') ~= run and run or ''
