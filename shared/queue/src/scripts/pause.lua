-- Pauses or resumes the queue for all processes.
--
-- Own ARGV: 6 '1' to pause, '0' to resume, 7 who
-- Result: 1 if that changed something.
-- Atomic. Bound: constant.

local paused = call('HGET', STATE, 'paused') == '1'
if ARGV[6] == '1' then
  if paused then return 0 end
  call('HSET', STATE, 'paused', '1', 'paused_by', ARGV[7], 'paused_at', now)
  return 1
end
if not paused then return 0 end
call('HDEL', STATE, 'paused', 'paused_by', 'paused_at')
wake()
return 1
