
-- Events of one script call go into the stream together: at most 50, or 64 KiB, to an entry.
local pending_events, pending_bytes, events_bytes, last_entry = {}, 0, 0, nil
local function flush_entry()
  if #pending_events > 0 then
    last_entry = append(unpack(pending_events))
    events_bytes = events_bytes + pending_bytes
    pending_events, pending_bytes = {}, 0
  end
end
-- Every script that writes events ends with this.
local function flush_events()
  flush_entry()
  if last_entry then bound_events(events_bytes, last_entry) end
end
local function event(word, id, data)
  if #pending_events >= 100 or pending_bytes + #data > 65536 then flush_entry() end
  local n = #pending_events
  pending_events[n + 1] = word .. ' ' .. id
  pending_events[n + 2] = data
  -- An event takes about 48 bytes besides its data.
  pending_bytes = pending_bytes + #data + 48
end

-- One token is enough: the worker that takes it fetches, and a fetch that leaves jobs behind adds the next token.
local function wake()
  if call('LLEN', WAKE) == 0 then call('LPUSH', WAKE, '1') end
end

-- For the end of a job, which leaves a place for the next: a worker is woken if one is ready, or parked in a group that is to be looked
-- at. A fetch that reaches the limit over all processes leaves the token of both to this.
local function wake_for_next(at)
  if call('EXISTS', READY_HIGH, READY_NORMAL, READY_LOW) > 0 or call('ZCOUNT', PARKED_GROUPS, '-inf', at) > 0 then wake() end
end

-- The hash has all unfinished jobs and dead letters of the queue.
local function found(id) return call('HEXISTS', JOBS, id) == 1 end
local function envelope_of(id) return call('HGET', JOBS, id) end
