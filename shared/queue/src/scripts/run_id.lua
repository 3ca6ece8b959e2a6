-- Tells whether this Redis was started again, or is another one, since the queue was last held against what is known outside.
--
-- Own ARGV: 6 the run id that was held against it, '' to ask.
-- Result: the run id of this Redis when the queue was not held against it yet, else ''.
-- Atomic. Bound: one call. A run id is drawn anew at every start of a server, so one that comes back with older data, as an
-- empty one, or as a replica of another has one that the queue does not know.

if ARGV[6] ~= '' then call('HSET', STATE, 'run_id', ARGV[6]) end
local run_id = string.match(call('INFO', 'server'), 'run_id:(%x+)') or ''
return call('HGET', STATE, 'run_id') ~= run_id and run_id or ''
