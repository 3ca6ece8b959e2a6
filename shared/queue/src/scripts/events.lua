-- Adds an entry to the stream of events, which keeps about ARGV[3] entries.
--
-- A reader continues from the id of the last entry that it has seen. A replica that takes over may lack that entry, and must not
-- give its id to another. So ids grow with time. Where the clock is behind the last entry (it was set back, or is that of another
-- server), Redis would only count up from that entry. Instead ids continue one to two minutes ahead of it, at half the pace of the
-- clock, until the clock has caught up. STATE holds from which id (`ahead_id`) and since when (`ahead_since`), in milliseconds.
local function append(...)
  -- An earlier TIME of this script is reused: the clock stands still while a script runs.
  event_time = event_time or redis.call('TIME')
  local t = event_time
  local now = t[1] * 1000 + math.floor(t[2] / 1000)
  local entry = redis.pcall('XADD', EVENTS, 'MAXLEN', '~', ARGV[3], string.format('%d-*', now), ...)
  if type(entry) == 'string' then return entry end
  if not string.find(entry.err, 'equal or smaller', 1, true) then
    -- Redis before version 7 does not take such an id.
    return redis.call('XADD', EVENTS, 'MAXLEN', '~', ARGV[3], '*', ...)
  end
  local ahead = redis.call('HMGET', STATE, 'ahead_id', 'ahead_since')
  local from, since = tonumber(ahead[1]), tonumber(ahead[2])
  -- A value further ahead than any clock was written by hand.
  if from and since and since <= now and from - since < 1e12 then
    local id = string.format('%d-*', from + math.ceil((now - since) / 2))
    entry = redis.pcall('XADD', EVENTS, 'MAXLEN', '~', ARGV[3], id, ...)
    if type(entry) == 'string' then return entry end
  end
  local info, last = redis.call('XINFO', 'STREAM', EVENTS), '0-0'
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
  -- Two servers that get here independently must not choose the same ids.
  from = tonumber(string.match(last, '^%d+')) + 60000 + t[2] % 60000
  if from - now >= 1e12 then return redis.call('XADD', EVENTS, 'MAXLEN', '~', ARGV[3], '*', ...) end
  redis.call('HSET', STATE, 'ahead_id', string.format('%d', from), 'ahead_since', string.format('%d', now))
  return redis.call('XADD', EVENTS, 'MAXLEN', '~', ARGV[3], string.format('%d-*', from), ...)
end

-- Bounds the bytes of the stream as well, which Redis cannot do by itself. `bytes` were added, and `entry` is the last entry.
-- STATE counts the bytes, and EVENT_MARKS gets the last entry whenever ARGV[4] more bytes were added. When it has more than 64,
-- the oldest are removed, and the stream is trimmed up to the last of those. A value of the wrong type was written by hand; the
-- count restarts.
local function bound_events(bytes, entry)
  local mark = tonumber(ARGV[4])
  local total = redis.pcall('HINCRBY', STATE, 'events_bytes', bytes)
  if type(total) ~= 'number' then
    total = bytes
    redis.call('HSET', STATE, 'events_bytes', string.format('%d', total))
  end
  if total < mark then return end
  redis.call('HSET', STATE, 'events_bytes', string.format('%d', total % mark))
  local full = {}
  for i = 1, math.min(65, math.floor(total / mark)) do full[i] = entry end
  local marks = redis.pcall('RPUSH', EVENT_MARKS, unpack(full))
  if type(marks) ~= 'number' then
    redis.call('DEL', EVENT_MARKS)
  elseif marks > 64 then
    local gone = redis.call('LPOP', EVENT_MARKS, marks - 64)
    redis.call('XTRIM', EVENTS, 'MINID', '~', gone[#gone])
  end
end
