-- Holds the emergency brake against what the audit log says of it, and tells how it stands.
--
-- KEYS: 1 the brake, a hash: state ('on' or 'off'), line (the number of its line in the audit log), by, reason, at (ms since
--   1970).
-- ARGV: 1 the number of the line, '' to pull the brake before the log knows of it, 2 state, 3 by, 4 reason, 5 at. A log without
--   a line about the brake is line 0, with the state 'off'.
-- Result: { state, line, by, reason, at } as they are now.
-- Atomic: of two lines the later one holds, in whatever order they come; what was pulled without a line holds until a later
--   line says otherwise. A brake that is missing was wiped, and one with an earlier line is an older copy: both take the line.
-- Bound: constant.

local held = tonumber(redis.call('HGET', KEYS[1], 'line') or '-1') or -1
local line = tonumber(ARGV[1])
if not line or line > held then
  redis.call('HSET', KEYS[1], 'state', ARGV[2], 'line', line and ARGV[1] or string.format('%.0f', math.max(held, 0)),
    'by', ARGV[3], 'reason', ARGV[4], 'at', ARGV[5])
end
return redis.call('HMGET', KEYS[1], 'state', 'line', 'by', 'reason', 'at')
