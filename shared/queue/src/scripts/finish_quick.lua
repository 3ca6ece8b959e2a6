-- Applies the results of attempts. This part is enough for successes of jobs that have only an envelope; finish.lua follows for
-- the others.
--
-- Own ARGV: 6 the number of plain successes (no event: first attempts under a history of failures), their lease members, the
--   number of told successes (with an event: all under a full history), for each its lease member and data (JSON of the event),
--   then groups of four: lease member, outcome, delay ms, data. No lease is given twice.
--   Outcomes: done · retry (after delay; the attempt counts) · snooze (after delay; it does not count) · dead · cancelled ·
--   release (at once, in front; it does not count) · unknown (no handler here knows the kind: it waits for a worker that does,
--   and is dead once it has waited for the delay)
-- Result: the positions, from 1, of attempts whose lease was no longer held; for those nothing was changed.
-- Atomic: all given attempts in one go.
-- Bound: the number of attempts given, which the caller keeps at 500.

local out, finished = {}, {}
local freed, succeeded = false, 0

-- Removes the leases `members` and returns those that were held; the positions of the others count from `place`. One command for
-- each would be an eighth of the cost of a job in Redis. So first all are added with NX and a score that no lease has: those that
-- this adds were not held, usually none.
local function give_up(members, place)
  if #members == 1 then
    if call('ZREM', LEASES, members[1]) == 1 then return members end
    out[#out + 1] = place + 1
    return {}
  end
  local held, marked = members, {}
  for i, member in ipairs(members) do marked[2 * i - 1], marked[2 * i] = '-1', member end
  -- The first write needs no memory, so that this runs at the memory limit (see fetch_quick.lua).
  call('ZREM', LEASES, '')
  if call('ZADD', LEASES, 'NX', unpack(marked)) > 0 then
    held = {}
    for i, member in ipairs(members) do
      if call('ZSCORE', LEASES, member) == '-1' then
        out[#out + 1] = place + i
      else
        held[#held + 1] = member
      end
    end
  end
  call('ZREM', LEASES, unpack(members))
  return held
end

-- Handles successes of `step` arguments each: the member, then its data if it gets an event. The positions of lost leases count
-- from `place`.
local function succeed(from, count, step, place)
  if count == 0 then return {} end
  local members, data = {}, {}
  for i = 1, count do
    local at = from + (i - 1) * step
    members[i] = ARGV[at]
    if step == 2 then data[members[i]] = ARGV[at + 1] end
  end
  local held, done = give_up(members, place), #finished
  for i, member in ipairs(held) do
    local id = string.sub(member, 1, 26)
    finished[done + i] = id
    if step == 2 then event('succeeded', id, data[member]) end
  end
  succeeded = succeeded + #held
  freed = freed or #held > 0
  return held
end

local plain = tonumber(ARGV[6])
local told = tonumber(ARGV[7 + plain])
local others = 8 + plain + 2 * told
local held = succeed(7, plain, 1, 0)
local held_told = succeed(8 + plain, told, 2, plain)

local function finish()
  if succeeded > 0 then add_to(STATE, 'succeeded', succeeded) end
  flush_events()
  -- A slot is free again; at a limit over all processes, workers wait for it.
  if freed then wake_for_next(now) end
  return out
end

-- Most jobs have only an envelope. Attempts and errors belong to jobs that failed, which plain successes never did.
if others > #ARGV and (told == 0 or call('EXISTS', ATTEMPTS, ERRORS) == 0)
  and call('EXISTS', PRIORITY, GROUP, CANCELLING, UNIQUE_DONE, UNIQUE_QUEUED, RUNNING, UNKNOWN_KIND) == 0 then
  if #finished > 0 then call('HDEL', JOBS, unpack(finished)) end
  return finish()
end
