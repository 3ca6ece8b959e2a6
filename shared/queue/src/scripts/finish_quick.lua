-- Carries out what attempts led to. Here are the successes of jobs of which nothing but themselves is kept; finish.lua goes
-- on with the others.
--
-- Own ARGV: 6 the number of plain successes, their lease members, 7 the number of told successes, for each its lease member
--   and data (JSON of the event), then groups of four: lease member, outcome, delay ms, data. No lease is there twice. No event
--   tells of a plain success: a first attempt under a history of failures. One always tells of a told one: any under a full
--   history.
--   Outcomes: done · retry (after delay; the attempt counts) · snooze (after delay; it does not count) · dead · cancelled ·
--   release (at once, in front; it does not count)
-- Result: the places, from 1, of those whose lease was no longer held: there nothing was changed.
-- Atomic: all given attempts in one go.
-- Bound: the number of attempts given, which the caller keeps at 500; where a lease was lost, what lost.lua says.

local out, finished = {}, {}
local freed, succeeded = false, 0

-- Gives up the leases of successes, each `step` arguments, the member first. A command for each would be an eighth of what a job
-- costs Redis. One for all tells how many were not held: hardly ever is there one, and finish.lua finds out which.
local function give_up(from, count, step)
  if count == 0 then return {}, 0 end
  local members = {}
  for i = 1, count do members[i] = ARGV[from + (i - 1) * step] end
  return members, count - call('ZREM', LEASES, unpack(members))
end

-- Counts successes whose leases were held; `data` has what the event of each says, if there are events.
local function succeed(held, data)
  local done = #finished
  for i, member in ipairs(held) do
    local id = string.sub(member, 1, 26)
    finished[done + i] = id
    if data then event('succeeded', id, data[member]) end
  end
  succeeded = succeeded + #held
  freed = freed or #held > 0
end

local plain = tonumber(ARGV[6])
local told = tonumber(ARGV[7 + plain])
local others = 8 + plain + 2 * told
local held, lost = give_up(7, plain, 1)
local held_told, lost_told = give_up(8 + plain, told, 2)
local data_told = {}
for at = 8 + plain, others - 1, 2 do data_told[ARGV[at]] = ARGV[at + 1] end

local function finish()
  if succeeded > 0 then call('HINCRBY', STATE, 'succeeded', succeeded) end
  flush_events()
  -- A place is free again, which matters where a limit over all processes keeps workers waiting.
  if freed and call('EXISTS', READY_HIGH, READY_NORMAL, READY_LOW) > 0 then wake() end
  return out
end

if lost + lost_told == 0 then
  succeed(held)
  succeed(held_told, data_told)
end
-- Most queues keep nothing but jobs. Attempts and errors are kept of those that failed, which plain successes never did.
if lost + lost_told == 0 and others > #ARGV and (told == 0 or call('EXISTS', ATTEMPTS, ERRORS) == 0) then
  local there = call('EXISTS', PARTS, PRIORITY, GROUP, CANCELLING, UNIQUE_DONE, UNIQUE_QUEUED, RESERVED, RUNNING)
  parts_from = false
  if there > 0 then read_parts() end
  if there == (parts_from and 1 or 0) then
    if #finished > 0 then remove(finished) end
    return finish()
  end
end
