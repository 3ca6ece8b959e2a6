-- The transitions that several scripts share. Making a function costs as much as a call of Redis, so this comes after what
-- most calls of a script can do without.

-- With a history of failures alone the reader has not seen the envelope yet when something fails.
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

-- A job that waits for its turn in a rate has a place planned: RESERVED says in which limiter, PLANNED how many it has.
local function unplan(id)
  local limiter = call('HGET', RESERVED, id)
  if not limiter then return end
  call('HDEL', RESERVED, id)
  if call('HINCRBY', PLANNED, limiter, -1) <= 0 then
    call('HDEL', PLANNED, limiter)
    call('DEL', RATE .. 'plan|' .. limiter)
  end
end

local function release_unique(id)
  for _, holder in ipairs({ UNIQUE_DONE, UNIQUE_QUEUED }) do
    local key = call('HGET', holder, id)
    if key then
      call('HDEL', holder, id)
      if call('GET', UNIQUE .. key) == id then call('DEL', UNIQUE .. key) end
    end
  end
end

-- Forgets everything about jobs that are finished. At most a few hundred ids at once. Most queues have nothing but jobs.
local function forget(ids)
  if #ids == 0 then return end
  remove(ids)
  if call('EXISTS', ATTEMPTS, DEAD_ATTEMPTS, ERRORS, PRIORITY, GROUP, CANCELLING, UNIQUE_DONE, UNIQUE_QUEUED, RESERVED) == 0 then
    return
  end
  if call('EXISTS', UNIQUE_DONE, UNIQUE_QUEUED) > 0 then
    for _, id in ipairs(ids) do release_unique(id) end
  end
  if call('EXISTS', RESERVED) == 1 then
    for _, id in ipairs(ids) do unplan(id) end
  end
  for _, hash in ipairs({ ATTEMPTS, DEAD_ATTEMPTS, ERRORS, PRIORITY, GROUP, CANCELLING }) do
    if call('EXISTS', hash) == 1 then call('HDEL', hash, unpack(ids)) end
  end
end

-- Group limits: a lease that counts for a group carries its name.
local function enter_group(group)
  call('HINCRBY', RUNNING, group, 1)
end

-- Brings parked jobs of a group back to the front, at most `count`, in their order. Cancelled ones are passed over.
local function unpark(group, count)
  local ids = {}
  while #ids < count do
    local id = call('LPOP', PARKED .. group)
    if not id then break end
    if call('HINCRBY', PARKED_COUNT, group, -1) <= 0 then call('HDEL', PARKED_COUNT, group) end
    if call('SREM', CANCELLED, id) == 0 then ids[#ids + 1] = id end
  end
  for i = #ids, 1, -1 do make_ready(ids[i], true) end
  if #ids > 0 then wake() end
end

local function leave_group(group)
  if group == '' then return end
  if call('HINCRBY', RUNNING, group, -1) <= 0 then call('HDEL', RUNNING, group) end
  unpark(group, 1)
end

-- A lease is 'id|holder|attempt|number|group'. The number is the time and the count of the fetch, so that no two leases are
-- ever the same, also where one worker gets an attempt again that did not count.
local function split_lease(member)
  local id, holder, attempt, _, group = string.match(member, '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|(.*)$')
  return id, holder, attempt, group
end

-- By pattern, because a decoder may refuse what a payload holds. 'max' stands before the payload; an envelope that was
-- restored from Postgres has a space before the number.
local function max_attempts(id)
  local envelope = envelope_of(id)
  if not envelope then return nil end
  return tonumber(string.match(envelope, '"max":%s*(%d+)')) or 1
end

-- The attempts of the dead lie apart, so that a fetch does not look among them.
local function kill(id, attempt, data)
  failure_event('dead', id, data)
  release_unique(id)
  call('HDEL', CANCELLING, id)
  call('HDEL', ATTEMPTS, id)
  call('HSET', DEAD_ATTEMPTS, id, attempt)
  call('ZADD', DEAD, now, id)
end

-- Leases that ran out: their worker is lost. The attempt counts; the job runs again, or is dead when that was the last.
-- At most `limit` leases a call. Answers how many.
local function reap(limit)
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

-- The jobs that run, read once for a call.
local running_ids
local function is_running(id)
  if not running_ids then
    running_ids = {}
    for _, member in ipairs(call('ZRANGE', LEASES, 0, -1)) do running_ids[(split_lease(member))] = true end
  end
  return running_ids[id]
end

-- A lock with an end is that of a window: it holds whatever became of its job.
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


-- Stores the envelope of a new job.
local function store(id, envelope)
  local hash, part = home(id)
  call('HSET', hash, id, envelope)
  if part then call('HSET', PARTS, part, '') end
end

local function hold_unique(id, o)
  if type(o.s) == 'number' then
    call('SET', UNIQUE .. o.u, id, 'PX', o.s)
  else
    call('SET', UNIQUE .. o.u, id)
    call('HSET', o.s == 'queued' and UNIQUE_QUEUED or UNIQUE_DONE, id, o.u)
  end
end

-- Accepts one job; the codes are those of enqueue.lua.
local function accept(id, envelope, o)
  if cancelled and call('SISMEMBER', CANCELLED, id) == 1 then return 1, id end
  if not o then
    if found(id) then return 1, id end
    store(id, envelope)
    call('RPUSH', READY_NORMAL, id)
    added = true
    return 0, id
  end
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
    local holder = call('GET', lock)
    if holder and not holds(lock, holder) then holder = false end
    if holder then
      if o.c == 'keep' then return 3, holder end
      if o.c ~= 'replace' or not remove_waiting(holder) then return 2, holder end
      code, other = 4, holder
    end
    hold_unique(id, o)
  end
  remember()
  store(id, envelope)
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
