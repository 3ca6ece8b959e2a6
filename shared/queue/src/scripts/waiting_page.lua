-- A page of one of the lists in which jobs wait, in its order, after a place.
-- Keys       those named below
-- Arguments  the list: `high`, `normal` or `low`, or a priority, `:` and a group for the parked ones; how many; then the place: the
--            id of the last job told, and the id that stood last in the list when that was read; neither for the first page
-- Answers    the ids, and the id that stands last in the list
-- Atomic     the whole page is read at one moment; nothing is written
-- Work       the ids asked for, and a look through the list for the place: a million ids take some 10 ms
--
-- Ids are taken from the front of a list alone, and come in at its end or, where an attempt was given back, at its front. So while the
-- last job told was never taken, those not told yet are right behind it. Once it was taken, all before it were too, and nothing that is
-- still there was told: the page begins at the front. It may stand in the list again, at its end. Then what stood last before, if it
-- still stands there, comes before it.
local list = ARGV[1] == 'high' and READY_HIGH or ARGV[1] == 'normal' and READY_NORMAL or ARGV[1] == 'low' and READY_LOW
  or PARKED .. ARGV[1]
local start = 0
if ARGV[3] then
  local told = redis.call('LPOS', list, ARGV[3])
  if told then
    local last = redis.call('LPOS', list, ARGV[4], 'RANK', -1)
    if not last or last >= told then
      start = told + 1
    end
  end
end
return { redis.call('LRANGE', list, start, start + ARGV[2] - 1), redis.call('LINDEX', list, -1) }
