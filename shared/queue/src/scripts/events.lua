-- Adds an entry to the stream of events, which keeps ARGV[3] entries, about.
local function append(...) return redis.call('XADD', EVENTS, 'MAXLEN', '~', ARGV[3], '*', ...) end

-- Keeps the stream within a number of bytes, too, by which Redis cannot trim it: so many were added, and `entry` is the last one.
-- STATE counts the bytes, and EVENT_MARKS lists the entry at which each ARGV[4] of them were full; where it lists more than 64,
-- everything before the oldest mark goes. What is no number or list was planted by hand: the bound begins anew.
local function bound_events(bytes, entry)
  local total = redis.pcall('HINCRBY', STATE, 'events_bytes', bytes)
  if type(total) == 'number' and total < tonumber(ARGV[4]) then return end
  redis.call('HSET', STATE, 'events_bytes', '0')
  local marks = redis.pcall('RPUSH', EVENT_MARKS, entry)
  if type(marks) ~= 'number' then
    redis.call('DEL', EVENT_MARKS)
  elseif marks > 64 then
    redis.call('XTRIM', EVENTS, 'MINID', '~', redis.call('LPOP', EVENT_MARKS))
  end
end
