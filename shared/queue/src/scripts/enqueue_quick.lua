-- Accepts jobs. This part is enough for calls without options; enqueue.lua follows for the others.
--
-- Own ARGV: 6 most jobs of the queue (0 any number), then triples of id, envelope, options. Options are '' for a plain job,
--   else JSON: {"p":"high"|"low", "at":due ms, "d":least delay ms, "g":group, "u":unique key, "s":"queued"|"done"|window ms,
--   "c":"reject"|"keep"|"replace", "i":intake id}
-- Result: for each job that is not simply accepted, three values: its position in the call from 1, a code and an id.
--   1 the id is known already, or was cancelled a moment ago (its own id) · 2 refused, the unique key is held (holder)
--   3 the holder of the unique key is kept (holder) · 4 accepted in place of another job (that job) · 5 the intake task was taken
--   over before (its own id)
--   6 refused, the queue is full (its own id)
-- Atomic: each job is accepted completely or not at all; all jobs of the call in one go.
-- Bound: the number of jobs given, which the caller keeps at 500.

local most = tonumber(ARGV[6])
-- How many more jobs the queue has room for.
local room = most > 0 and most - call('HLEN', JOBS) or math.huge

local out = {}
local function answer(i, code, id)
  local n = #out
  out[n + 1], out[n + 2], out[n + 3] = (i - 4) / 3, code, id
end

-- Consecutive plain jobs are stored together, with the same number of commands however many they are.
local first = nil
local function store_plain(last)
  if not first then return end
  local ids, n = {}, 0
  for i = first, last, 3 do
    n = n + 1
    ids[n] = ARGV[i]
  end
  local known = call('HMGET', JOBS, unpack(ids))
  local new, fields, seen, count = {}, {}, {}, 0
  for i, id in ipairs(ids) do
    local at = first + 3 * (i - 1)
    if known[i] or seen[id] or (cancelled and call('SISMEMBER', CANCELLED, id) == 1) then
      answer(at, 1, id)
    elseif room < 1 then
      answer(at, 6, id)
    else
      seen[id] = true
      count, room = count + 1, room - 1
      new[count] = id
      fields[2 * count - 1], fields[2 * count] = id, ARGV[at + 1]
      if FULL then event('enqueued', id, ARGV[at + 1]) end
    end
  end
  if count > 0 then
    added = true
    call('HSET', JOBS, unpack(fields))
    call('RPUSH', READY_NORMAL, unpack(new))
  end
  first = nil
end

local plain = true
for i = 9, #ARGV, 3 do
  if ARGV[i] ~= '' then
    plain = false
    break
  end
end
if plain then
  first = 7
  store_plain(#ARGV - 2)
  flush_events()
  if added then wake() end
  return out
end
