-- Lets jobs that come from now on lie in parts, where enough lie together. Far more are left as they are: looking through them
-- would take too long, and there are only as many where an older version stored them, or had a worker while they came.
-- While a worker of an older version is there, which would not find them, there are no parts.
-- Bound: 4 times TOGETHER and the workers, once until all parts are gone again.
local function open_parts()
  local together = call('HLEN', JOBS)
  if together < TOGETHER or together > 4 * TOGETHER or call('EXISTS', PARTS) == 1 then return end
  local workers = redis.pcall('HVALS', WORKER_INFO)
  for _, said in ipairs(workers) do
    if not string.find(said, '"parts":true', 1, true) then return end
  end
  local latest = 0
  for _, id in ipairs(call('HKEYS', JOBS)) do
    local made = tonumber(string.sub(id, 1, 9), 36)
    if made and made > latest then latest = made end
  end
  call('HSET', PARTS, 'from', string.format('%d', latest))
  parts_from = latest
end
