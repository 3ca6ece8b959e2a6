-- Takes a place for an act of an account, if its limits allow the act to begin now.
--
-- KEYS: 1 posts, 2 replies, 3 retweets: sorted sets of effect key by the latest time (ms) at which its act begins or began;
--   4 hash of effect key to the holder of its place; 5 the next turn planned (ms). All share one hash tag.
-- ARGV: 1 which of the three, 2 effect key, 3 who takes it, 4 the time (ms), 0 for that of Redis, 5 and 6 from when and until
--   when what the caller knows of the clock holds (ms), 7 the time within which the act begins (ms), 8 start of the day (ms),
--   9 least time between two acts (ms), 10 most acts a day, 11 most of this kind a day (0 sets no limit), 12 how long places
--   are kept (ms), 13 how far ahead turns are planned (ms), 14 a share of that, 0 to 999 thousandths, 15 '1' when what the
--   ledger knows of the account was put in (count_places.lua), 16 most acts within 17 (ms); 0 sets no limit.
-- Result: { 'taken', now }; { 'uncounted', now } when nothing is known of the account and the ledger was not asked yet;
--   { 'full', now } when the day has no place left; { 'full kind', now } when it has none of that
--   kind; { 'full window', when to ask again } when as many as there may be were made lately; { 'early', when to ask again } when it
--   is too soon after another; { 'elsewhen', now } when the time is not within
--   what the caller knows.
-- Atomic: however many ask at once, no more get a place than the limits allow. A key has one place, whoever takes it, and keeps it
--   when a new request is refused, because its act may be under way.
-- Bound: 300 expired places, 300 that another clock took, and constant otherwise.

local kind, key, holder, now = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local within, day = tonumber(ARGV[7]), tonumber(ARGV[8])
local interval, per_day, of_kind = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local keep = tonumber(ARGV[12])
if now < tonumber(ARGV[5]) or now + within > tonumber(ARGV[6]) then return { 'elsewhen', now } end
if ARGV[15] ~= '1' and redis.call('EXISTS', KEYS[4]) == 0 then return { 'uncounted', now } end

for i = 1, 3 do
  local over = redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', now - keep, 'LIMIT', 0, 100)
  if #over > 0 then
    redis.call('ZREM', KEYS[i], unpack(over))
    redis.call('HDEL', KEYS[4], unpack(over))
  end
end

-- A place further ahead than any request allows, with a margin for differing clocks, was taken by another clock: before a failover, or
-- before the clock was set back. Its act has begun by now.
local farthest = now + within + 60000
for i = 1, 3 do
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[i], farthest + 1, '+inf', 'LIMIT', 0, 100)) do
    redis.call('ZADD', KEYS[i], now, other)
  end
end

-- The key's own place does not count against it.
local total, last = 0, nil
for i = 1, 3 do
  local own = tonumber(redis.call('ZSCORE', KEYS[i], key) or '-1')
  local n = redis.call('ZCOUNT', KEYS[i], day, '+inf')
  if own >= day then n = n - 1 end
  total = total + n
  if i == kind and of_kind > 0 and n >= of_kind then return { 'full kind', now } end
  local latest = redis.call('ZREVRANGE', KEYS[i], 0, 1, 'WITHSCORES')
  local other = latest[1] ~= key and latest[2] or latest[4]
  if other then last = math.max(last or 0, tonumber(other)) end
end
if per_day > 0 and total >= per_day then return { 'full', now } end

local most, window = tonumber(ARGV[16]), tonumber(ARGV[17])
if most > 0 then
  local acts, oldest = 0, now
  for i = 1, 3 do
    acts = acts + redis.call('ZCOUNT', KEYS[i], now - window, '+inf')
    if tonumber(redis.call('ZSCORE', KEYS[i], key) or '-1') >= now - window then acts = acts - 1 end
    local first = redis.call('ZRANGEBYSCORE', KEYS[i], now - window, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    oldest = math.min(oldest, tonumber(first[2] or now))
  end
  -- Those who wait ask again one after the other, not all at once.
  if acts >= most then
    return { 'full window', math.floor(oldest + window + 1 + tonumber(ARGV[13]) * tonumber(ARGV[14]) / 1000) }
  end
end

if interval > 0 and last and last + interval > now then
  local free = last + interval
  local ahead = math.max(tonumber(ARGV[13]), interval)
  local turn = math.max(free, tonumber(redis.call('GET', KEYS[5]) or '0'))
  -- A turn further ahead than any planned one was planned by another clock, or with another interval.
  if turn > farthest + 2 * interval + ahead then turn = free end
  if turn > free + ahead then return { 'early', math.floor(free + ahead * (1 - tonumber(ARGV[14]) / 4000)) } end
  redis.call('SET', KEYS[5], turn + interval, 'PX', math.ceil(turn + interval - now))
  return { 'early', turn }
end

for i = 1, 3 do redis.call('ZREM', KEYS[i], key) end
redis.call('ZADD', KEYS[kind], now + within, key)
redis.call('HSET', KEYS[4], key, holder)
redis.call('PEXPIRE', KEYS[4], keep)
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], keep) end
return { 'taken', now }
