-- The time, and what nearly every script does with it.

local now = tonumber(ARGV[1])
if now == 0 then
  local t = call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
-- Redis writes the numbers that a script hands it as floating point, which is slow.
local function digits(number) return string.format('%d', number) end
local ERRORS_KEPT = tonumber(ARGV[4])

-- A count as it stands in Redis. What is none was planted by hand; it must not stop a script, and with it the queue.
local function whole(text, otherwise)
  return tonumber(text and string.match(text, '^%d+$') or otherwise)
end

local function make_ready(id, front)
  local priority = call('HGET', PRIORITY, id)
  local list = priority == 'high' and READY_HIGH or priority == 'low' and READY_LOW or READY_NORMAL
  call(front and 'LPUSH' or 'RPUSH', list, id)
end
