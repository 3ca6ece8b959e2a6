-- Puts records into the hot state.
--
-- KEYS: 1 the stream, then the hot copy of each record. All share one hash tag.
-- ARGV: 1 how many records may wait for the sync, then triples of field ('family key'), value (JSON), ttl of the copy in ms
--   (0 keeps no copy).
-- Result: the id of the entry of each record, in order; or -1 and the number that wait, when they would be too many.
-- Atomic: all records of the call, with their copies, or none.
-- Bound: the records given, which the caller keeps at 100.

local stream = KEYS[1]
local waiting = redis.call('XLEN', stream)
if waiting + #KEYS - 1 > tonumber(ARGV[1]) then return { '-1', tostring(waiting) } end
local ids = {}
for i = 2, #KEYS do
  local at = 2 + (i - 2) * 3
  local field, value, ttl = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local id = redis.call('XADD', stream, '*', field, value)
  if ttl > 0 then redis.call('SET', KEYS[i], id .. ' ' .. value, 'PX', ttl) end
  ids[#ids + 1] = id
end
return ids
