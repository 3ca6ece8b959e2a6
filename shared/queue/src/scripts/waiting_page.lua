-- Reads a page of a ready or parked list after a cursor, in the order of the list.
--
-- ARGV: 1 the list: `high`, `normal` or `low` for a ready list, or priority, `:` and group for a parked list, 2 how many, then the
--   cursor: 3 the id of the last job of the page before, 4 the id that was last in the list when that page was read; neither for the
--   first page.
-- Result: the ids, and the id that is last in the list.
-- Atomic: the whole page is read at one moment; nothing is written.
-- Bound: the ids asked for, and a search for the cursor in the list: about 10 ms for a million ids.
--
-- Ids leave a list only at its front. They enter at its end, or at its front if an attempt was released. So if the job of the cursor
-- was never taken, the jobs after it are those not yet listed. If it was taken, all jobs before it were taken too, none of the jobs in
-- the list was listed, and the page begins at the front. The job may have entered the list again at its end. That is the case if the
-- id that was last before is still in the list and comes before it.
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
