-- Keeps the dead letters and the list of workers bounded.
--
-- Own ARGV: 6 oldest death kept (ms), 7 most dead letters, 8 most removed, 9 oldest time at which a worker kept was last seen (ms)
-- Result: how many dead letters were removed.
-- Atomic. Bound: ARGV[8] dead letters and as many workers.

local most = tonumber(ARGV[8])
-- The first write needs no memory, so that making room works at the memory limit (see fetch_quick.lua).
call('ZREM', WORKERS, '')
local ids = call('ZRANGEBYSCORE', DEAD, '-inf', ARGV[6], 'LIMIT', 0, most)
if #ids == 0 then
  local over = math.min(call('ZCARD', DEAD) - tonumber(ARGV[7]), most)
  if over > 0 then ids = call('ZRANGE', DEAD, 0, over - 1) end
end
for _, id in ipairs(ids) do
  failure_event('discarded', id, '{"error":"the retention of the queue was reached","by":"retention"}')
end
if #ids > 0 then
  call('ZREM', DEAD, unpack(ids))
  forget(ids)
end
local silent = call('ZRANGEBYSCORE', WORKERS, '-inf', ARGV[9], 'LIMIT', 0, most)
if #silent > 0 then
  call('ZREM', WORKERS, unpack(silent))
  call('HDEL', WORKER_INFO, unpack(silent))
end
flush_events()
return #ids
