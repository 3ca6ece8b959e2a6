-- The first part of nearly every script.
--
-- KEYS: those that the script uses, in the order of `scripts.rs`, which adds the line that assigns them to their names.
-- UNIQUE, PARKED and RATE are prefixes; keys made from them share the hash tag of the queue, so they are on the same node.
--
-- ARGV[1] is the time in milliseconds, 0 for the clock of Redis (tests give their own). ARGV[2] is the history kept,
-- 'full' or 'failures'. ARGV[3] is how many stream entries are kept, ARGV[4] how many bytes of events between two marks
-- (events.lua). ARGV[5] is how many errors are kept with a job. The script's own arguments follow.

local call = redis.call
local event_time = nil
local FULL = ARGV[2] == 'full'
