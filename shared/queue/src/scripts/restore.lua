-- Restores jobs that Redis has lost from what Postgres has.
--
-- Own ARGV: groups of six: id, envelope, options (JSON, as for enqueue.lua), attempts that were counted, the last error (one
--   line of JSON, '' for none), time of death in ms ('' for a job that is not dead)
-- Result: for each, 1, or 0 if Redis has it already.
-- Atomic: all in one go. Bound: the number of jobs given, which the caller keeps at 250.

local out = {}
for i = 6, #ARGV, 6 do
  local id, envelope, options, attempts, error, died = unpack(ARGV, i, i + 5)
  if found(id) or call('SISMEMBER', CANCELLED, id) == 1 then
    out[#out + 1] = 0
  else
    out[#out + 1] = 1
    local o = options == '' and {} or cjson.decode(options)
    call('HSET', JOBS, id, envelope)
    if o.p then call('HSET', PRIORITY, id, o.p) end
    if o.g then call('HSET', GROUP, id, o.g) end
    if tonumber(attempts) > 0 then call('HSET', died == '' and ATTEMPTS or DEAD_ATTEMPTS, id, attempts) end
    if error ~= '' then add_error(id, error) end
    if died ~= '' then
      call('ZADD', DEAD, died, id)
    else
      if o.u and call('EXISTS', UNIQUE .. o.u) == 0 then hold_unique(id, o) end
      if FULL then event('enqueued', id, envelope) end
      if o.at and o.at > now then
        make_delayed(id, o.at)
      else
        make_ready(id, false)
        wake()
      end
    end
  end
end
flush_events()
return out
