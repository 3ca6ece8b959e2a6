-- Removes the envelopes of jobs, and the parts that are empty then. Answers how many were there.
local function remove(ids)
  local runs, removed, emptied = homes(ids), 0, {}
  for r = 1, #runs, 4 do
    local hash, name = runs[r], runs[r + 1]
    removed = removed + call('HDEL', hash, unpack(ids, runs[r + 2], runs[r + 3]))
    if name and call('EXISTS', hash) == 0 then
      emptied[#emptied + 1] = name
    end
  end
  if removed < #ids and parts_from then removed = removed + call('HDEL', JOBS, unpack(ids)) end
  if #emptied > 0 then
    call('HDEL', PARTS, unpack(emptied))
    if call('HLEN', PARTS) == 1 then
      call('DEL', PARTS)
      parts_from = false
    end
  end
  return removed
end
