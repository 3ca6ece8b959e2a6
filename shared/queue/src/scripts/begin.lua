-- Releases the uniqueness keys of jobs that are about to start.
--
-- Own ARGV: lease members.
-- Result: how many of the leases are held.
-- Atomic: all in one go. Bound: the members given.

local held = 0
for i = 6, #ARGV do
  if call('ZSCORE', LEASES, ARGV[i]) then
    held = held + 1
    release_unique((split_lease(ARGV[i])))
  end
end
return held
