-- Renews the leases of a worker, reaps expired leases of others, and returns which of its jobs must stop.
--
-- Own ARGV: 6 lease ms, 7 holder, 8 most leases reaped, then lease members.
-- Result: { leases it no longer holds }, { lease, reason, … of jobs that shall be cancelled }
-- Atomic: all renewals in one go.
-- Bound: members given (the caller keeps them at 1,000) + leases reaped.

local lease_ms, holder = tonumber(ARGV[6]), ARGV[7]
local ends = digits(now + lease_ms)
-- The first write needs no memory, so that renewing works at the memory limit (see fetch_quick.lua).
call('ZREM', WORKERS, '')
call('ZADD', WORKERS, digits(now), holder)
local lost, stop = {}, {}
local cancelling = call('EXISTS', CANCELLING) == 1
for i = 9, #ARGV do
  if call('ZSCORE', LEASES, ARGV[i]) then
    call('ZADD', LEASES, ends, ARGV[i])
    local reason = cancelling and call('HGET', CANCELLING, (split_lease(ARGV[i])))
    if reason then
      stop[#stop + 1] = ARGV[i]
      stop[#stop + 1] = reason
    end
  else
    lost[#lost + 1] = ARGV[i]
  end
end
reap(tonumber(ARGV[8]), lease_ms)
flush_events()
return { lost, stop }
