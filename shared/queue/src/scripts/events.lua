-- Adds an entry to the stream of events, which keeps ARGV[3] entries, about.
local function append(...) return redis.call('XADD', EVENTS, 'MAXLEN', '~', ARGV[3], '*', ...) end

-- Keeps the stream within a number of bytes, too, by which Redis cannot trim it: so many were added, and `entry` is the last one.
-- STATE counts the bytes, and EVENT_MARKS lists the entry at which each ARGV[4] of them were full; where it lists more than 64,
-- everything before goes. What is no number or list was planted by hand: the bound begins anew.
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
