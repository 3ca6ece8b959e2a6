-- Puts records into the hot state.
--
-- KEYS: 1 the stream, 2 from which id and since when its ids are ahead of the clock, then the hot copy of each record. All share
--   one hash tag.
-- ARGV: 1 how many records may wait for the sync, then triples of field ('family key'), value (JSON), ttl of the copy in ms
--   (0 keeps no copy).
-- Result: the id of the entry of each record, in order; or -1 and the number that wait, when they would be too many.
-- Atomic: all records of the call, with their copies, or none.
-- Bound: the records given, which the caller keeps at 100.
--
-- Ids of entries grow with time, even while the clock is behind the last id: see `append` in the scripts of the queue.

local stream = KEYS[1]
local waiting = redis.call('XLEN', stream)
if waiting + #KEYS - 2 > tonumber(ARGV[1]) then return { '-1', tostring(waiting) } end

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function append(field, value)
  local id = redis.pcall('XADD', stream, string.format('%d-*', now), field, value)
  if type(id) == 'string' then return id end
  if not string.find(id.err, 'equal or smaller', 1, true) then
    -- Redis before version 7 does not accept such an id.
    return redis.call('XADD', stream, '*', field, value)
  end
  local ahead = redis.pcall('GET', KEYS[2])
  local from, since = string.match(type(ahead) == 'string' and ahead or '', '^(%d+) (%d+)$')
  -- A value set by hand may be further ahead than any clock.
  if from and tonumber(since) <= now and from - since < 1e12 then
    id = redis.pcall('XADD', stream, string.format('%d-*', from + math.ceil((now - since) / 2)), field, value)
    if type(id) == 'string' then return id end
  end
  local info, last = redis.call('XINFO', 'STREAM', stream), '0-0'
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
  from = tonumber(string.match(last, '^%d+')) + 60000 + t[2] % 60000
  if from - now >= 1e12 then return redis.call('XADD', stream, '*', field, value) end
  redis.call('SET', KEYS[2], string.format('%d %d', from, now))
  return redis.call('XADD', stream, string.format('%d-*', from), field, value)
end

local ids = {}
for i = 3, #KEYS do
  local at = 2 + (i - 3) * 3
  local field, value, ttl = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local id = append(field, value)
  if ttl > 0 then redis.call('SET', KEYS[i], id .. ' ' .. value, 'PX', ttl) end
  ids[#ids + 1] = id
end
return ids
