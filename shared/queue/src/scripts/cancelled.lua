-- A cancelled id keeps its place in a list until a fetch passes it. Until then it cannot be used again, or it would stand
-- there twice. Hardly ever is anything cancelled, and few queues have parts: one look for both.
local unusual = call('EXISTS', CANCELLED, PARTS) > 0
local cancelled, added = unusual and call('EXISTS', CANCELLED) == 1, false
if not unusual then parts_from = false end
