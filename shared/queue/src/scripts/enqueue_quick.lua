-- Accepts jobs. Here are those without options; enqueue.lua goes on with the others.
--
-- Own ARGV: triples of id, envelope, options. Options are '' for a plain job, else JSON:
--   {"p":"high"|"low", "at":due ms, "g":group, "u":unique key, "s":"queued"|"done"|window ms, "c":"reject"|"keep"|"replace",
--    "i":intake id}
-- Result: for each job that is not simply accepted three things: its place in the call from 1, a code and an id.
--   1 the id is known already, or was cancelled a moment ago (its own id) · 2 refused, the key is held by (holder)
--   3 kept the job that holds the key (holder) · 4 accepted in place of (the one replaced) · 5 the intake id was taken over before
-- Atomic: each job is accepted whole or not at all; all jobs of the call in one go.
-- Bound: the number of jobs given, which the caller keeps at 500.

local out = {}
local function answer(i, code, id)
  local n = #out
  out[n + 1], out[n + 2], out[n + 3] = (i - 3) / 3, code, id
end

-- Plain jobs that follow one another are stored together: their number of calls does not grow with them.
local first = nil
local function store_plain(last)
  if not first then return end
  local ids, n = {}, 0
  for i = first, last, 3 do
    n = n + 1
    ids[n] = ARGV[i]
  end
  local runs = homes(ids)
  local known = envelopes_of(ids, runs)
  local new, fields, seen, count = {}, {}, {}, 0
  for i, id in ipairs(ids) do
    local at = first + 3 * (i - 1)
    if known[i] or seen[id] or (cancelled and call('SISMEMBER', CANCELLED, id) == 1) then
      answer(at, 1, id)
    else
      seen[id] = true
      count = count + 1
      new[count] = id
      fields[2 * count - 1], fields[2 * count] = id, ARGV[at + 1]
      if FULL then event('enqueued', id, ARGV[at + 1]) end
    end
  end
  if count > 0 then
    if count < n then runs = homes(new) end
    for r = 1, #runs, 4 do
      call('HSET', runs[r], unpack(fields, 2 * runs[r + 2] - 1, 2 * runs[r + 3]))
      if runs[r + 1] then call('HSET', PARTS, runs[r + 1], '') end
    end
    added = true
    if call('RPUSH', READY_NORMAL, unpack(new)) >= TOGETHER and not parts_from then open_parts() end
  end
  first = nil
end

local plain = true
for i = 8, #ARGV, 3 do
  if ARGV[i] ~= '' then
    plain = false
    break
  end
end
if plain then
  first = 6
  store_plain(#ARGV - 2)
  flush_events()
  if added then wake() end
  return out
end
