-- Accepts plain jobs whose ids the caller has just made, so that nothing can know them: what most enqueues of many jobs need,
-- and nothing else. It stands alone, as enqueue_one.lua does. ARGV[1] to [5] are told in head.lua.
--
-- Own ARGV: 6 how many runs there are: jobs behind one another whose ids were made in the same ms; for each the number of its
--   jobs; then pairs of id and envelope
-- Result: as that of enqueue_quick.lua; always empty
-- Atomic: all jobs of the call are accepted, or none is.
-- Bound: the number of jobs given, which the caller keeps at 500, and what parts_open.lua says.

local call, argv, TOGETHER = redis.call, ARGV, tonumber(ARGV[5])
local first = 7 + argv[6]
local from = call('HMGET', PARTS, 'from', 'from_ms')
local width, parts_from = from[1] and 9 or 10, tonumber(from[1] or from[2]) or false
if parts_from then
  local at, names = first, {}
  for run = 7, first - 1 do
    local after, name = at + 2 * argv[run], string.sub(argv[at], 1, width)
    local hash = JOBS
    if (tonumber(name, 36) or 0) > parts_from then
      hash = PART .. name
      names[#names + 1], names[#names + 2] = name, ''
    end
    call('HSET', hash, unpack(argv, at, after - 1))
    at = after
  end
  if #names > 0 then call('HSET', PARTS, unpack(names)) end
else
  call('HSET', JOBS, unpack(argv, first))
end
local ids, n = {}, 0
for i = first, #argv, 2 do
  n = n + 1
  ids[n] = argv[i]
end
local waiting = call('RPUSH', READY_NORMAL, unpack(ids))
if call('EXISTS', WAKE) == 0 then call('LPUSH', WAKE, '1') end
if waiting < TOGETHER or parts_from then return {} end
