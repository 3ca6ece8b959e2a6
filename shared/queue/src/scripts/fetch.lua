-- Slow path, concatenated after fetch_quick.lua, whose header has the arguments, the result and the bound.
--
-- A job whose group is at its limit is parked in a list of its group and priority, so that not every fetch looks at it and it
-- starts before later jobs of its group. PARKED_GROUPS holds when to look at a group again: when its rate allows the next
-- start, or at once when one of its jobs has ended.

-- After the clock went back by `step`, moves delayed jobs back as well, except those that were enqueued for a time of day.
local function bring_forward(step)
  local waiting = call('ZRANGEBYSCORE', DELAYED, '(' .. digits(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 10000)
  for i = 1, #waiting, 2 do
    local id, due = waiting[i], tonumber(waiting[i + 1])
    local run_at = string.match(envelope_of(id) or '', '^{[^{]-"run_at":%s*(%d+)')
    if tonumber(run_at) ~= due then call('ZADD', DELAYED, digits(math.max(now, due - step)), id) end
  end
  first_due = first_of(DELAYED)
end

if went_back then bring_forward(clock - now) end
if paused then
  reap(most_reaped, lease_ms)
  flush_events()
  return { 1, -1, now }
end
if most_reaped > 0 then reap(most_reaped, lease_ms) end
first_lease = first_of(LEASES)
nothing_ran = not first_lease
promote()
gate()
read_passed()

local words = { 'high', 'normal', 'low' }
local function parked(name, p) return PARKED .. words[p] .. ':' .. name end

-- The groups met in this call: how many of their jobs may start, and how many of each priority are parked.
local groups = {}
local function group_of(name)
  local group = groups[name]
  if not group then
    group = { room = math.huge, started = 0, running = 0, waits = {} }
    if group_most > 0 then
      group.running = whole(call('HGET', RUNNING, name), 0)
      group.room = group_most - group.running
    end
    if group_step > 0 then
      local free
      free, group.tat = allowance(name, group_step, group_burst)
      group.room = math.min(group.room, free)
    end
    groups[name] = group
  end
  return group
end
local function waits(name, p)
  local of = group_of(name).waits
  -- A key that is not a list was written by hand and is deleted.
  if not of[p] then
    local length = redis.pcall('LLEN', parked(name, p))
    if type(length) ~= 'number' then
      call('DEL', parked(name, p))
      length = 0
    end
    of[p] = length
  end
  return of[p]
end

-- The groups to look at now; all of them if groups have no limits any more. A time further ahead than the engine sets comes
-- from another clock or rate, so its group is looked at too.
local due = call('ZRANGEBYSCORE', PARKED_GROUPS, '-inf', grouped and now or '+inf', 'LIMIT', 0, 20)
local far = '(' .. digits(farthest_end(math.max(lease_ms, group_step)))
for _, name in ipairs(call('ZRANGEBYSCORE', PARKED_GROUPS, far, '+inf', 'LIMIT', 0, 20)) do due[#due + 1] = name end
for _, name in ipairs(due) do group_of(name).look = true end

local function is_cancelled(id) return cancelled and call('SREM', CANCELLED, id) == 1 end

-- The next parked job of a priority whose group has room; the groups take turns.
local turn = { 0, 0, 0 }
local function next_parked(p)
  for _ = 1, #due do
    turn[p] = turn[p] % #due + 1
    local name = due[turn[p]]
    local group = groups[name]
    while group.room > 0 and waits(name, p) > 0 do
      local id = call('LPOP', parked(name, p))
      group.waits[p] = id and group.waits[p] - 1 or 0
      if id and not is_cancelled(id) then return id, name end
    end
  end
end

-- Jobs are popped from a list in batches; those that were not looked at are put back at the end.
local chosen, names = {}, {}
local taken = { { at = 1, ids = {} }, { at = 1, ids = {} }, { at = 1, ids = {} } }
local function pop(p)
  local some = taken[p]
  if some.at > #some.ids then
    some.ids = call('LPOP', lists[p], math.max(1, slots - #chosen)) or {}
    some.groups = grouped and #some.ids > 0 and call('HMGET', GROUP, unpack(some.ids)) or {}
    some.at = 1
  end
  some.at = some.at + 1
  return some.ids[some.at - 1], some.groups[some.at - 1] or ''
end

local looked, most_looked = 0, 3 * slots + 100
local function next_ready(p)
  while looked < most_looked do
    local id, name = pop(p)
    if not id then return nil end
    looked = looked + 1
    if not is_cancelled(id) then
      if name == '' then return id, name end
      local group = group_of(name)
      if group.room > 0 and waits(name, p) == 0 then return id, name end
      waits(name, p)
      call('RPUSH', parked(name, p), id)
      group.waits[p] = group.waits[p] + 1
      group.look = true
    end
  end
end

local has = {}
for p = 1, 3 do
  has[p] = call('LLEN', lists[p]) > 0
  for _, name in ipairs(due) do has[p] = has[p] or groups[name].room > 0 and waits(name, p) > 0 end
end
while #chosen < slots do
  local p = choose(has)
  if not p then break end
  local id, name = next_parked(p)
  if not id then
    id, name = next_ready(p)
  end
  if id then
    chosen[#chosen + 1], names[id] = id, name
    if name ~= '' then groups[name].room = groups[name].room - 1 end
    pass_over(p, has)
  else
    has[p] = false
  end
end
if #chosen > 0 then write_passed() end
for p = 1, 3 do
  local some = taken[p]
  for i = #some.ids, some.at, -1 do call('LPUSH', lists[p], some.ids[i]) end
end

local gone = #chosen > 0 and lease(chosen, group_most > 0 and names or {}) or {}
for id, name in pairs(names) do
  if name ~= '' and not gone[id] then groups[name].started = groups[name].started + 1 end
end

for name, group in pairs(groups) do
  local look = now
  if group_most > 0 then
    if group.started > 0 then add_to(RUNNING, name, group.started) end
    -- The end of one of its jobs brings this forward; the time matters only if the limit is raised meanwhile.
    if group.running + group.started >= group_most then look = now + lease_ms end
  end
  if group_step > 0 then
    local tat = charge(name, group_step, group.tat, group.started)
    look = math.max(look, opens_at(tat, group_step, group_burst))
  end
  if group.look then
    if call('EXISTS', parked(name, 1), parked(name, 2), parked(name, 3)) == 0 then
      call('ZREM', PARKED_GROUPS, name)
    else
      call('ZADD', PARKED_GROUPS, digits(look), name)
    end
  end
end
return finish_fetch(first_of(PARKED_GROUPS))
