-- A cancelled id stays in its list until a fetch passes over it. Until then it cannot be used again: it would be in the
-- list twice.
local cancelled, added = call('EXISTS', CANCELLED) == 1, false
