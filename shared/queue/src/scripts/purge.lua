-- Cancels ready, parked and delayed jobs, not running ones or dead letters.
--
-- Own ARGV: 6 most removed, 7 data (JSON of the event)
-- Result: how many entries of lists and sets were removed; 0 if none is left.
-- Atomic. Bound: ARGV[6].

local left = tonumber(ARGV[6])
local ids, places = {}, 0
local function add(list)
  if not list then return end
  places = places + #list
  left = left - #list
  for _, id in ipairs(list) do
    if call('SREM', CANCELLED, id) == 0 then ids[#ids + 1] = id end
  end
end
for _, list in ipairs({ READY_HIGH, READY_NORMAL, READY_LOW }) do
  if left > 0 then add(call('LPOP', list, left)) end
end
for _, group in ipairs(left > 0 and call('ZRANGE', PARKED_GROUPS, 0, left - 1) or {}) do
  local lists = {}
  for i, priority in ipairs({ 'high', 'normal', 'low' }) do lists[i] = PARKED .. priority .. ':' .. group end
  for _, list in ipairs(lists) do
    if left > 0 then add(call('LPOP', list, left)) end
  end
  if call('EXISTS', unpack(lists)) == 0 then call('ZREM', PARKED_GROUPS, group) end
end
if left > 0 then
  local delayed = call('ZRANGE', DELAYED, 0, left - 1)
  if #delayed > 0 then
    call('ZREM', DELAYED, unpack(delayed))
    add(delayed)
  end
end
for _, id in ipairs(ids) do failure_event('cancelled', id, ARGV[7]) end
forget(ids)
flush_events()
return places
