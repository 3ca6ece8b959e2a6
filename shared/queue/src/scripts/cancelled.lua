-- A cancelled id keeps its place in a list until a fetch passes it. Until then it cannot be used again, or it would stand
-- there twice.
local cancelled, added = call('EXISTS', CANCELLED) == 1, false
