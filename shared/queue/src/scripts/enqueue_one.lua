-- Accepts one plain job: what an enqueue without options needs, and nothing else. It stands alone, since each function that
-- head.lua makes costs as much as a command. ARGV[1] to [5] are told there.
--
-- Own ARGV: 6 id, 7 envelope
-- Result: as that of enqueue_quick.lua
-- Atomic: it is accepted whole or not at all.
-- Bound: one job, and what parts_open.lua says.

local call = redis.call
local id, envelope, TOGETHER = ARGV[6], ARGV[7], tonumber(ARGV[5])
-- One look for all: hardly ever is anything cancelled, few queues have parts, and an idle worker has taken the last token.
local there = call('EXISTS', CANCELLED, PARTS, WAKE)
local token, hash, parts_from = there > 0 and call('EXISTS', WAKE) or 0, JOBS, false
if there > token then
  local name, narrow = string.sub(id, 1, 9), string.sub(id, 1, 10)
  local parts = call('HMGET', PARTS, 'from', 'from_ms', name, narrow)
  local known = parts[3]
  if not parts[1] then name, known = narrow, parts[4] end
  parts_from = tonumber(parts[1] or parts[2])
  if there > token + (parts_from and 1 or 0) and call('SISMEMBER', CANCELLED, id) == 1 then return { 1, 1, id } end
  if parts_from and (tonumber(name, 36) or 0) > parts_from then
    hash = PART .. name
    if not known then call('HSET', PARTS, name, '') end
  end
end
if call('HSETNX', hash, id, envelope) == 0 then return { 1, 1, id } end
local waiting = call('RPUSH', READY_NORMAL, id)
if ARGV[2] == 'full' then call('XADD', EVENTS, 'MAXLEN', '~', ARGV[3], '*', 'enqueued ' .. id, envelope) end
if token == 0 then call('LPUSH', WAKE, '1') end
if waiting < TOGETHER or parts_from then return {} end
