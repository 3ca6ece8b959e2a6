-- The transitions that several scripts share. Creating a function costs as much as a command, so this comes after the quick part,
-- where most calls end.

-- Under a history of failures the reader of the stream has not seen the envelope yet, so it goes before the failure.
local function failure_event(word, id, data)
  if not FULL then
    local envelope = envelope_of(id)
    if envelope then event('enqueued', id, envelope) end
  end
  event(word, id, data)
end

local function make_delayed(id, due)
  call('ZADD', DELAYED, due, id)
  local first = call('ZRANGE', DELAYED, 0, 0)
  if first[1] == id then wake() end
end

local function add_error(id, line)
  local old = call('HGET', ERRORS, id)
  if old then
    local cut = 0
    for _ = 2, ERRORS_KEPT do
      cut = string.find(old, '\n', cut + 1, true)
      if not cut then break end
    end
    if ERRORS_KEPT > 1 then line = line .. '\n' .. (cut and string.sub(old, 1, cut - 1) or old) end
  end
  call('HSET', ERRORS, id, line)
end

local function release_unique(id)
  for _, holder in ipairs({ UNIQUE_DONE, UNIQUE_QUEUED }) do
    local key = call('HGET', holder, id)
    if key then
      call('HDEL', holder, id)
      if text_of(UNIQUE .. key) == id then call('DEL', UNIQUE .. key) end
    end
  end
end

-- Deletes all data of finished jobs; returns how many there were. At most a few hundred ids a call. Most jobs have only an
-- envelope.
local function forget(ids)
  if #ids == 0 then return 0 end
  local removed = call('HDEL', JOBS, unpack(ids))
  local of_some = { ATTEMPTS, DEAD_ATTEMPTS, ERRORS, PRIORITY, GROUP, CANCELLING, UNKNOWN_KIND }
  if call('EXISTS', UNIQUE_DONE, UNIQUE_QUEUED, unpack(of_some)) == 0 then return removed end
  if call('EXISTS', UNIQUE_DONE, UNIQUE_QUEUED) > 0 then
    for _, id in ipairs(ids) do release_unique(id) end
  end
  for _, hash in ipairs(of_some) do
    if call('EXISTS', hash) == 1 then call('HDEL', hash, unpack(ids)) end
  end
  return removed
end

-- A lease that counts for a group carries its name. After its end the next fetch looks at the parked jobs of the group.
local function leave_group(group)
  if group == '' then return end
  if add_to(RUNNING, group, -1) <= 0 then call('HDEL', RUNNING, group) end
  if call('ZSCORE', PARKED_GROUPS, group) then
    call('ZADD', PARKED_GROUPS, now, group)
    wake()
  end
end

-- A lease is 'id|holder|attempt|number|group'. The number is the time and the count of the fetch, so that no two leases are
-- equal, even if a worker gets the same attempt again because the first did not count.
local function split_lease(member)
  local id, holder, attempt, _, group = string.match(member, '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|(.*)$')
  return id, holder, attempt, group
end

-- By pattern, because a decoder may reject a payload. 'max' comes before the payload; an envelope that was restored from
-- Postgres has a space before the number.
local function max_attempts(id)
  local envelope = envelope_of(id)
  if not envelope then return nil end
  return tonumber(string.match(envelope, '"max":%s*(%d+)')) or 1
end

-- The attempts of dead letters are in their own hash, so that a fetch does not search them.
local function kill(id, attempt, data)
  failure_event('dead', id, data)
  release_unique(id)
  for _, hash in ipairs({ CANCELLING, ATTEMPTS, UNKNOWN_KIND }) do call('HDEL', hash, id) end
  call('HSET', DEAD_ATTEMPTS, id, attempt)
  call('ZADD', DEAD, now, id)
end

-- Reaps leases that ran out: their worker is lost. The attempt counts; the job runs again, or is dead after its last one.
-- A lease dated by another clock gets a new end, one lease from now: its worker renews it if it is alive. At most `limit` leases
-- of each kind a call. Returns how many ran out.
local function reap(limit, lease_ms)
  local far = '(' .. digits(farthest_end(lease_ms))
  for _, member in ipairs(call('ZRANGEBYSCORE', LEASES, far, '+inf', 'LIMIT', 0, limit)) do
    call('ZADD', LEASES, digits(now + lease_ms), member)
  end
  local expired = call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, limit)
  for _, member in ipairs(expired) do
    call('ZREM', LEASES, member)
    local id, holder, attempt, group = split_lease(member)
    if id then
      leave_group(group)
      local most = max_attempts(id)
      if most then
        attempt = whole(attempt, 1)
        local stopped = call('HGET', CANCELLING, id)
        local message = 'worker lost: ' .. holder .. ' stopped renewing its lease'
        local data = cjson.encode({ attempt = attempt, worker = holder, error = message, at = now })
        add_error(id, data)
        if stopped then
          failure_event('cancelled', id, cjson.encode({ attempt = attempt, worker = holder, error = stopped }))
          forget({ id })
        elseif attempt >= most then
          kill(id, attempt, data)
        else
          call('HSET', ATTEMPTS, id, attempt)
          failure_event('lost', id, data)
          make_ready(id, true)
          wake()
        end
      end
    end
  end
  if #expired > 0 then wake() end
  return #expired
end

-- The ids of running jobs, read once a call.
local running_ids
local function is_running(id)
  if not running_ids then
    running_ids = {}
    for _, member in ipairs(call('ZRANGE', LEASES, 0, -1)) do running_ids[(split_lease(member))] = true end
  end
  return running_ids[id]
end

-- A lock with a TTL is that of a time window: it holds even after its job has finished.
local function holds(lock, holder)
  return found(holder) or call('PTTL', lock) >= 0
end

-- Removes a waiting job that a new one replaces. False when it is done, running or dead and cannot be replaced.
local function remove_waiting(id)
  if not found(id) then return false end
  if call('ZREM', DELAYED, id) == 0 then
    if call('ZSCORE', DEAD, id) or is_running(id) then return false end
    call('SADD', CANCELLED, id)
    cancelled = true
  end
  failure_event('cancelled', id, cjson.encode({ error = 'replaced by a newer job with the same unique key' }))
  forget({ id })
  return true
end

local function hold_unique(id, o)
  if type(o.s) == 'number' then
    call('SET', UNIQUE .. o.u, id, 'PX', o.s)
  else
    call('SET', UNIQUE .. o.u, id)
    call('HSET', o.s == 'queued' and UNIQUE_QUEUED or UNIQUE_DONE, id, o.u)
  end
end

-- Accepts one job where there is room for it; the codes are those of enqueue_quick.lua.
local function accept(id, envelope, o, room)
  if cancelled and call('SISMEMBER', CANCELLED, id) == 1 then return 1, id end
  o = o or {}
  if o.i and call('ZSCORE', INTAKE, o.i) then return 5, id end
  local function remember()
    if o.i then call('ZADD', INTAKE, now, o.i) end
  end
  if found(id) then
    remember()
    return 1, id
  end
  local code, other = 0, id
  if o.u then
    local lock = UNIQUE .. o.u
    local holder = text_of(lock)
    if holder and not holds(lock, holder) then holder = false end
    if holder then
      if o.c == 'keep' then return 3, holder end
      if o.c ~= 'replace' or not remove_waiting(holder) then return 2, holder end
      code, other = 4, holder
    end
  end
  if code == 0 and room < 1 then return 6, id end
  if o.u then hold_unique(id, o) end
  remember()
  call('HSET', JOBS, id, envelope)
  if o.p then call('HSET', PRIORITY, id, o.p) end
  if o.g then call('HSET', GROUP, id, o.g) end
  local at = o.at or 0
  -- If the clock is set back, a delay moves with it and a time of day does not. So a delay is due at least 1 ms after the
  -- `run_at` of its envelope, by which fetch.lua tells the two apart.
  if o.d then at = math.max(at + 1, now + o.d) end
  if at > now then
    make_delayed(id, at)
  else
    make_ready(id, false)
    added = true
  end
  return code, other
end
