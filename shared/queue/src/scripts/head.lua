-- The beginning of every script.
--
-- KEYS: those that the script names, under the names and in the order of `scripts.rs`, which writes the line that takes them
-- out. UNIQUE, PARKED, RATE and PART are prefixes; what is made of them shares the hash tag of the queue, so it lives on the same
-- node.
--
-- ARGV[1] is the time in milliseconds, 0 for the clock of Redis (tests give their own). ARGV[2] is the history kept,
-- 'full' or 'failures'. ARGV[3] is how many stream entries are kept. ARGV[4] is how many errors are kept with a job.
-- ARGV[5] is how many jobs lie together (parts.lua). The script's own arguments follow.

local call = redis.call
local FULL = ARGV[2] == 'full'
local EVENTS_KEPT = ARGV[3]
local TOGETHER = tonumber(ARGV[5])

-- Events of one script call go into the stream together: at most 50, or 64 KiB, to an entry.
local pending_events, pending_bytes = {}, 0
local function flush_events()
  if #pending_events > 0 then
    call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_KEPT, '*', unpack(pending_events))
    pending_events, pending_bytes = {}, 0
  end
end
local function event(word, id, data)
  if #pending_events >= 100 or pending_bytes + #data > 65536 then flush_events() end
  local n = #pending_events
  pending_events[n + 1] = word .. ' ' .. id
  pending_events[n + 2] = data
  pending_bytes = pending_bytes + #data
end

-- One token is enough: whoever takes it fetches, and a fetch that leaves work behind puts the next token there.
local function wake()
  if call('LLEN', WAKE) == 0 then call('LPUSH', WAKE, '1') end
end
