-- Accepts jobs.
--
-- Own ARGV: triples of id, envelope, options. Options are '' for a plain job, else JSON:
--   {"p":"high"|"low", "at":due ms, "g":group, "u":unique key, "s":"queued"|"done"|window ms, "c":"reject"|"keep"|"replace",
--    "i":intake id}
-- Result: for each job a pair: a code and an id.
--   0 accepted (its own id) · 1 the id is known already, or was cancelled a moment ago (its own id) · 2 refused, the key is held by (holder)
--   3 kept the job that holds the key (holder) · 4 accepted in place of (the one replaced) · 5 the intake id was taken over before
-- Atomic: each job is accepted whole or not at all; all jobs of the call in one go.
-- Bound: the number of jobs given, which the caller keeps at 500.

-- A cancelled id keeps its place in a list until a fetch passes it. Until then it cannot be used again, or it would stand
-- there twice.
local cancelled = call('EXISTS', CANCELLED) == 1

-- Removes a waiting job that a new one replaces. False when it is running or dead and cannot be replaced.
local function remove_waiting(id)
  if call('ZREM', DELAYED, id) == 0 then
    if call('ZSCORE', DEAD, id) then return false end
    for _, member in ipairs(call('ZRANGE', LEASES, 0, -1)) do
      if string.sub(member, 1, #id + 1) == id .. '|' then return false end
    end
    call('SADD', CANCELLED, id)
    cancelled = true
  end
  failure_event('cancelled', id, cjson.encode({ error = 'replaced by a newer job with the same unique key' }))
  forget({ id })
  return true
end

local out = {}
local added = false

local function accept(id, envelope, o)
  if cancelled and call('SISMEMBER', CANCELLED, id) == 1 then return 1, id end
  if not o then
    if call('HSETNX', JOBS, id, envelope) == 0 then return 1, id end
    call('RPUSH', READY.normal, id)
    added = true
    return 0, id
  end
  if o.i and call('ZADD', INTAKE, now, o.i) == 0 then return 5, id end
  if call('HEXISTS', JOBS, id) == 1 then return 1, id end
  local code, other = 0, id
  if o.u then
    local lock = UNIQUE .. o.u
    local holder = call('GET', lock)
    if holder and o.s ~= nil and type(o.s) ~= 'number' and call('HEXISTS', JOBS, holder) == 0 then holder = false end
    if holder then
      if o.c == 'keep' then return 3, holder end
      if o.c ~= 'replace' or not remove_waiting(holder) then return 2, holder end
      code, other = 4, holder
    end
    if type(o.s) == 'number' then
      call('SET', lock, id, 'PX', o.s)
    else
      call('SET', lock, id)
      call('HSET', o.s == 'queued' and UNIQUE_QUEUED or UNIQUE_DONE, id, o.u)
    end
  end
  call('HSET', JOBS, id, envelope)
  if o.p then call('HSET', PRIORITY, id, o.p) end
  if o.g then call('HSET', GROUP, id, o.g) end
  if o.at and o.at > now then
    make_delayed(id, o.at)
  else
    make_ready(id, false)
    added = true
  end
  return code, other
end

for i = 5, #ARGV, 3 do
  local id, envelope = ARGV[i], ARGV[i + 1]
  local options = ARGV[i + 2]
  local code, other = accept(id, envelope, options ~= '' and cjson.decode(options) or nil)
  out[#out + 1] = code
  out[#out + 1] = other
  if FULL and (code == 0 or code == 4) then event('enqueued', id, envelope) end
end
flush_events()
if added then wake() end
return out
