-- Sets a brake if the given change is later than the stored one, and returns its state.
--
-- KEYS: 1 the brake of a scope (<prefix>brake, <prefix>brake:account:<name> or <prefix>brake:bot:<name>), a hash: state ('on' or 'off'), line (the number of its line in the audit log), by, reason, at (ms since
--   1970; it grows with every change, so it orders two changes even where the numbers of the log were reused after a restore).
-- ARGV: 1 the number of the line, '' to pull the brake before the log knows of it, 2 state, 3 by, 4 reason, 5 at. A log without
--   a line about the brake is line 0, with the state 'off', at 0.
-- Result: { state, line, by, reason, at } as they are now.
-- Atomic: of two changes the later one wins, in whatever order they arrive. A pull without a line is later than all changes before.
--   A brake that is missing was wiped, and one with an earlier change is an older copy: both take over the line.
-- Bound: constant.

local parts = redis.call('HMGET', KEYS[1], 'at', 'line')
local held, held_line = tonumber(parts[1] or ''), tonumber(parts[2] or '') or -1
local line, at = tonumber(ARGV[1]), tonumber(ARGV[5])
if not line then
  local clock = redis.call('TIME')
  local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
  at = math.max(at, now, (held or 0) + 1)
  redis.call('HSET', KEYS[1], 'state', ARGV[2], 'line', string.format('%.0f', math.max(held_line, 0)),
    'by', ARGV[3], 'reason', ARGV[4], 'at', string.format('%.0f', at))
elseif not held or at > held or (at == held and line > held_line) then
  redis.call('HSET', KEYS[1], 'state', ARGV[2], 'line', ARGV[1], 'by', ARGV[3], 'reason', ARGV[4], 'at', ARGV[5])
end
return redis.call('HMGET', KEYS[1], 'state', 'line', 'by', 'reason', 'at')
