-- Accepts jobs.
--
-- Own ARGV: triples of id, envelope, options. Options are '' for a plain job, else JSON:
--   {"p":"high"|"low", "at":due ms, "g":group, "u":unique key, "s":"queued"|"done"|window ms, "c":"reject"|"keep"|"replace",
--    "i":intake id}
-- Result: for each job a pair: a code and an id.
--   0 accepted (its own id) · 1 the id is known already, or was cancelled a moment ago (its own id) · 2 refused, the key is held by (holder)
--   3 kept the job that holds the key (holder) · 4 accepted in place of (the one replaced) · 5 the intake id was taken over before
-- Atomic: each job is accepted whole or not at all; all jobs of the call in one go.
-- Bound: the number of jobs given, which the caller keeps at 500.

local out = {}
for i = 5, #ARGV, 3 do
  local id, envelope = ARGV[i], ARGV[i + 1]
  local options = ARGV[i + 2]
  local code, other = accept(id, envelope, options ~= '' and cjson.decode(options) or nil)
  out[#out + 1] = code
  out[#out + 1] = other
  if FULL and (code == 0 or code == 4) then event('enqueued', id, envelope) end
end
flush_events()
if added then wake() end
return out
