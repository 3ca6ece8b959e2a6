-- Holds the emergency brake against what the audit log says of it, and tells how it stands.
--
-- KEYS: 1 the brake, a hash: state ('on' or 'off'), line (the number of its line in the audit log), by, reason, at (ms since
--   1970), unlogged (when it was pulled, while the log has no line of that).
-- ARGV: 1 the number of the line, '' to pull the brake before the log knows of it, 2 state, 3 by, 4 reason, 5 at, 6 '1' when
--   somebody says so now, '0' when the log was read. A log without a line about the brake is line 0, with the state 'off'.
-- Result: { state, line, by, reason, at } as they are now.
-- Atomic: of two lines the later one holds, in whatever order they come. What was pulled without a line holds against every line
--   that the log had by then, also where those are news to Redis. A brake that is missing was wiped, and one with an earlier line
--   is an older copy: both take the line.
-- Bound: constant.

local held = tonumber(redis.call('HGET', KEYS[1], 'line') or '-1') or -1
local line = tonumber(ARGV[1])
if not line then
  redis.call('HSET', KEYS[1], 'state', ARGV[2], 'line', string.format('%.0f', math.max(held, 0)),
    'by', ARGV[3], 'reason', ARGV[4], 'at', ARGV[5], 'unlogged', ARGV[5])
elseif line > held then
  local unlogged = tonumber(redis.call('HGET', KEYS[1], 'unlogged') or '')
  local lifted_before = unlogged and ARGV[2] == 'off' and ARGV[6] ~= '1' and tonumber(ARGV[5]) <= unlogged
  if not lifted_before then
    redis.call('HSET', KEYS[1], 'state', ARGV[2], 'line', ARGV[1], 'by', ARGV[3], 'reason', ARGV[4], 'at', ARGV[5])
    redis.call('HDEL', KEYS[1], 'unlogged')
  end
end
return redis.call('HMGET', KEYS[1], 'state', 'line', 'by', 'reason', 'at')
