-- The time, and helpers that nearly every script uses.

local now = tonumber(ARGV[1])
if now == 0 then
  local t = call('TIME')
  event_time = t
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
-- Redis formats numbers from scripts as floating point, which is slow.
local function digits(number) return string.format('%d', number) end
local ERRORS_KEPT = tonumber(ARGV[5])

-- Reads a count. A value that is not a number was written by hand; it must not stop the script, and with it the queue.
local function whole(text, otherwise)
  return tonumber(text and string.match(text, '^%d+$') or otherwise)
end

-- Adds to a count. A value that is not a number was written by hand and is replaced.
local function add_to(hash, field, by)
  local sum = redis.pcall('HINCRBY', hash, field, by)
  if type(sum) == 'number' then return sum end
  call('HSET', hash, field, math.max(by, 0))
  return math.max(by, 0)
end

-- Reads a string key: false if it is missing or of another type; the next write replaces it.
local function text_of(key)
  local text = redis.pcall('GET', key)
  return type(text) == 'string' and text
end

-- A lease that ends later than this was dated by another clock: before a failover, or before the clock was set back.
local function farthest_end(lease_ms) return now + 2 * lease_ms + 60000 end

-- Puts a job into its ready list. With `front`, a job whose group has parked jobs goes to the front of those instead.
local function make_ready(id, front)
  local priority = call('HGET', PRIORITY, id)
  if front and call('EXISTS', PARKED_GROUPS) == 1 then
    local group = call('HGET', GROUP, id)
    if group and call('ZSCORE', PARKED_GROUPS, group) then
      call('LPUSH', PARKED .. (priority or 'normal') .. ':' .. group, id)
      call('ZADD', PARKED_GROUPS, digits(now), group)
      return
    end
  end
  local list = priority == 'high' and READY_HIGH or priority == 'low' and READY_LOW or READY_NORMAL
  call(front and 'LPUSH' or 'RPUSH', list, id)
end
