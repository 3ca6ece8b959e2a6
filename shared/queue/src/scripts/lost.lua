-- Finds out which leases were lost. It is asked where some were, which hardly ever is so.
--
-- A job is in one place. So one that has ended, is leased to another, put off, dead or in a list had lost its lease, and one that
-- is nowhere else was held.
-- Bound: the leases there are; and the length of the lists, where one that waits again is among them. It was put in front, so it
-- is found soon, unless it waits for a place of its group, or Redis came back with older data.

-- Of the leases `members`, which are given up by now, those that were held. `lost` of them were not; their places go into `out`,
-- counted from `place`.
local function held_of(members, lost, place)
  local is_lost, in_doubt, lost_all = {}, {}, lost == #members
  local function lose(id)
    is_lost[id], in_doubt[id] = true, nil
    lost = lost - 1
  end
  for _, member in ipairs(members) do
    local id = split_lease(member)
    in_doubt[id] = true
    if lost_all or not found(id) or is_running(id) or call('ZSCORE', DELAYED, id) or call('ZSCORE', DEAD, id) then lose(id) end
  end
  local lists = { READY_HIGH, READY_NORMAL, READY_LOW }
  for _, group in ipairs(lost > 0 and call('HKEYS', PARKED_COUNT) or {}) do lists[#lists + 1] = PARKED .. group end
  for _, list in ipairs(lists) do
    local from = 0
    while lost > 0 and from < call('LLEN', list) do
      for _, id in ipairs(call('LRANGE', list, from, from + 999)) do
        if in_doubt[id] then lose(id) end
      end
      from = from + 1000
    end
  end
  local held = {}
  for i, member in ipairs(members) do
    if is_lost[split_lease(member)] then
      out[#out + 1] = place + i
    else
      held[#held + 1] = member
    end
  end
  return held
end
