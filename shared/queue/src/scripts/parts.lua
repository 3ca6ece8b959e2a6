-- Where envelopes lie. The first jobs lie together, in JOBS. Once TOGETHER of them do, the field `from` of PARTS says how late
-- the last of their ids was made, and jobs with later ids lie in parts: a hash of its own for each 32 ms in which ids were
-- made, since a command takes twice as long in a hash that no cache holds. Where the first jobs came fast, the field is `from_ms`,
-- and a part has the jobs of one millisecond. So the place of a job follows from its id and that field, which stays as it is
-- while there are parts. The other fields of PARTS are the names of the parts there are.

-- The first nine characters of an id are its 32 ms, ten its millisecond; read as digits to the base 36 they sort as the times
-- do. `parts_from` is nil until it is read, and false where there are no parts.
local sub, parts_from, width = string.sub, nil, 9

local function read_parts()
  local from = call('HMGET', PARTS, 'from', 'from_ms')
  width = from[1] and 9 or 10
  parts_from = tonumber(from[1] or from[2]) or false
end

-- The hash that a job lies in, and the name of the part, false where it is none.
local function home(id)
  if parts_from == nil then read_parts() end
  if parts_from then
    local name = sub(id, 1, width)
    local made = tonumber(name, 36)
    if made and made > parts_from then return PART .. name, name end
  end
  return JOBS, false
end

-- The hash that has the envelope of a job, nil where none has. A process of an older version stores jobs in JOBS, whatever their
-- ids are: where they are looked for one by one, they are looked for there, too.
local function found(id)
  local hash = home(id)
  if call('HEXISTS', hash, id) == 1 then return hash end
  if hash ~= JOBS and call('HEXISTS', JOBS, id) == 1 then return JOBS end
end

-- The envelope of a job.
local function envelope_of(id)
  return call('HGET', home(id), id) or parts_from and call('HGET', JOBS, id)
end

-- The same as `home` of at least one: hash, name, the first place in `ids` and the last, and again for those that follow.
local function homes(ids)
  local hash, part = home(ids[1])
  if not parts_from then return { JOBS, false, 1, #ids } end
  local runs, n, last = { hash, part, 1 }, 4, sub(ids[1], 1, width)
  for i = 2, #ids do
    local name = sub(ids[i], 1, width)
    if name ~= last then
      last = name
      local there, its = home(ids[i])
      if there ~= hash then
        runs[n], runs[n + 1], runs[n + 2], runs[n + 3] = i - 1, there, its, i
        n, hash = n + 4, there
      end
    end
  end
  runs[n] = #ids
  return runs
end

-- The envelopes of jobs, false for one that is not there.
local function envelopes_of(ids, runs)
  if #runs == 4 then return call('HMGET', runs[1], unpack(ids)) end
  local out = {}
  for r = 1, #runs, 4 do
    local before = runs[r + 2] - 1
    local some = call('HMGET', runs[r], unpack(ids, before + 1, runs[r + 3]))
    for i = 1, #some do out[before + i] = some[i] end
  end
  return out
end
