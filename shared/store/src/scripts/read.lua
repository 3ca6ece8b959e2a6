-- Reads the entries of a stream after a given one.
--
-- KEYS: 1 the stream, 2 the id of the last entry that Postgres had when it was trimmed.
-- ARGV: 1 the id of the entry, 2 fields wanted, 3 bytes wanted.
-- Result: { time of Redis (ms), entries ever added (-1 when Redis does not say), entries held, id of the last entry ever added,
--   1 when the entry itself is still held, 1 when more follows, the second key or nil,
--   then the entries as { id, { field, value, ... } } }
--   A stream that does not exist has an empty last id.
-- Atomic. Bound: it stops after the entry that reaches either number; an entry has at most 500 fields.

local stream, after = KEYS[1], ARGV[1]
local fields_left, bytes_left = tonumber(ARGV[2]), tonumber(ARGV[3])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if redis.call('EXISTS', stream) == 0 then return { now, -1, 0, '', 0, 0, false } end

local info = redis.call('XINFO', 'STREAM', stream)
local known = {}
for i = 1, #info, 2 do known[info[i]] = info[i + 1] end
local held = #redis.call('XRANGE', stream, after, after)
-- A value of another type is ignored; the next trim overwrites it.
local synced = redis.pcall('GET', KEYS[2])
if type(synced) ~= 'string' then synced = false end
local out = { now, known['entries-added'] or -1, known['length'], known['last-generated-id'], held, 0, synced }

local PAGE = 8
local from = '(' .. after
while true do
  local page = redis.call('XRANGE', stream, from, '+', 'COUNT', PAGE)
  for i, entry in ipairs(page) do
    out[#out + 1] = entry
    fields_left = fields_left - #entry[2] / 2
    for _, text in ipairs(entry[2]) do bytes_left = bytes_left - #text end
    if fields_left <= 0 or bytes_left <= 0 then
      if i < #page or #redis.call('XRANGE', stream, '(' .. entry[1], '+', 'COUNT', 1) > 0 then out[6] = 1 end
      return out
    end
    from = '(' .. entry[1]
  end
  if #page < PAGE then return out end
end
