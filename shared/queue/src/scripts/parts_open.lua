-- Lets jobs that come from now on lie in parts, where enough lie together. Far more are left as they are: looking through them
-- would take too long, and there are only as many where an older version stored them, or had a worker while they came.
-- While a worker of an older version is there, which would not find them, there are no parts, or none of a millisecond.
-- Those are for jobs that came fast, all in one or at least 64 in each: a part costs 200 bytes, which fewer would pay dearly.
-- Bound: 4 times TOGETHER and the workers, once until all parts are gone again.
local function open_parts()
  local together = call('HLEN', JOBS)
  if together < TOGETHER or together > 4 * TOGETHER or call('EXISTS', PARTS) == 1 then return end
  local narrow = true
  for _, said in ipairs(redis.pcall('HVALS', WORKER_INFO)) do
    if not string.find(said, '"parts":true', 1, true) then return end
    narrow = narrow and string.find(said, '"parts_of_ms":true', 1, true)
  end
  local latest, last, seen, distinct = 0, '', {}, 0
  for _, id in ipairs(call('HKEYS', JOBS)) do
    local name = string.sub(id, 1, 10)
    local made = not seen[name] and tonumber(name, 36)
    if made then
      seen[name], distinct = true, distinct + 1
      if made > latest then latest, last = made, name end
    end
  end
  if narrow and (distinct == 1 or 64 * distinct <= together) then
    call('HSET', PARTS, 'from_ms', string.format('%d', latest))
  else
    call('HSET', PARTS, 'from', string.format('%d', tonumber(string.sub(last, 1, 9), 36) or 0))
  end
  parts_from = nil
end
