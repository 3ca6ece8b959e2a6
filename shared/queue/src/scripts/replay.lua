-- Replays dead letters.
--
-- Own ARGV: 6 delay ms, then triples of id, the envelope as the caller read it, the envelope to store.
-- Result: for each: 'replayed' · 'gone' (not dead any more) · 'changed' (its envelope has changed) · 'conflict'
--   (its unique key is held by a newer job)
-- Atomic: each job completely or not at all; all jobs of the call in one go.
-- Bound: the jobs given, which the caller keeps at 100.

local delay = tonumber(ARGV[6])
local out = {}

local function replay(id, seen, envelope)
  if not call('ZSCORE', DEAD, id) then return 'gone' end
  if envelope_of(id) ~= seen then return 'changed' end
  local readable, decoded = pcall(cjson.decode, envelope)
  local unique = readable and type(decoded) == 'table' and decoded['unique']
  if type(unique) == 'table' and type(unique.key) == 'string' and (unique.scope == 'done' or unique.scope == 'queued') then
    local lock = UNIQUE .. unique.key
    local holder = text_of(lock)
    if holder and holder ~= id and holds(lock, holder) then return 'conflict' end
    call('SET', lock, id)
    call('HSET', unique.scope == 'queued' and UNIQUE_QUEUED or UNIQUE_DONE, id, unique.key)
  end
  call('ZREM', DEAD, id)
  call('HSET', JOBS, id, envelope)
  local attempts = call('HGET', DEAD_ATTEMPTS, id)
  if attempts then
    call('HDEL', DEAD_ATTEMPTS, id)
    call('HSET', ATTEMPTS, id, attempts)
  end
  event('replayed', id, envelope)
  if delay > 0 then make_delayed(id, now + delay) else make_ready(id, false) end
  return 'replayed'
end

for i = 7, #ARGV, 3 do out[#out + 1] = replay(ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
flush_events()
wake()
return out
