-- Corral's limits in Redis 7: every decision of policies/limiting/limit_decision.py, carried out where the state lies.
--
-- Numbers. A double holds whole numbers up to 2^53 exactly; nanoseconds since 1970 are beyond that, microseconds
-- are not. A bucket's TAT is therefore kept as whole microseconds and the nanoseconds beyond them, and all sums are
-- made with distances from now, in nanoseconds, which a day's worth (the longest horizon there is) keeps exact.
-- The clock is the server's own, read once: one clock for all gateways.
--
-- KEYS  1 fleet (hash: epoch, floor_us)  2 gateways (sorted set: id -> last beat, us)  3 peak (hash: minute -> gateways)
--       4 the reservation, or the fleet again  5.. one for each claim
-- ARGV  1 nonce, given back first  2 act  3.. the act's own; then FIELDS for each claim
-- Every key but the fleet's three belongs to one claim and expires when it says nothing any more.

local FIELDS = 4
local US = 1000000
local WINDOW_S = 61
local LEASE_US = 15 * US
local ABSENT_US = 3 * US
local HOUR_US = 3600 * US
local HELD_MS = 24 * 3600 * 1000
local SETTLED_MS = 60 * 1000
local FLEET_MS = 32 * 24 * 3600 * 1000
local RETRY_CONCURRENCY_NS = 1000000000
local NEVER = -1

local time = redis.call('TIME')
local second = tonumber(time[1])
local now_us = second * US + tonumber(time[2])
local nonce, act = ARGV[1], ARGV[2]
local FIRST_CLAIM = 5

-- How many gateways are heard of, and how many were within the hour. One that is silent may be counting its share on
-- its own, so the others do without that share; one that said goodbye is forgotten at once. A store that lost its data
-- was told how many there were, which holds for the next hour.
local function fleet_size()
  local told = redis.call('HMGET', KEYS[1], 'least', 'least_us')
  local least = told[1] and math.abs(now_us - tonumber(told[2])) < HOUR_US and tonumber(told[1]) or 1
  local present = redis.call('ZCOUNT', KEYS[2], now_us - ABSENT_US, '+inf')
  local known = redis.call('ZCOUNT', KEYS[2], now_us - HOUR_US, '+inf')
  return math.max(present, 1), math.max(known, present, least)
end

-- The calendar day or month in UTC (days to a civil date: Howard Hinnant, chrono-compatible algorithms).
local function period_of(kind)
  local z = math.floor(second / 86400) + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  if kind == 'd' then return string.format('%04d-%02d-%02d', year, month, day) end
  return string.format('%04d-%02d', year, month)
end

-- Rules 1 and 6. How far the bucket's TAT is ahead of now, in nanoseconds: 0 is full, `horizon` empty; and whether it
-- was further ahead, because the clock was set back or the rate was changed.
local function ahead_of(key, horizon, floor_us)
  local ahead = (floor_us - now_us) * 1000 + horizon
  local tat = redis.call('GET', key)
  if tat then
    local us, ns = string.match(tat, '^(%d+) (%d+)$')
    ahead = math.max(ahead, (tonumber(us) - now_us) * 1000 + tonumber(ns))
  end
  return math.max(math.min(ahead, horizon), 0), ahead > horizon
end

local function keep_ahead(key, ahead)
  local us = math.floor(ahead / 1000)
  local value = string.format('%.0f %.0f', now_us + us, ahead - us * 1000)
  redis.call('SET', key, value, 'PX', math.floor(us / 1000) + 1000)
end

-- Rules 2 and 6. Second -> tokens, of what still counts; their sum; and whether one had to be moved back to now.
local function live_slots(key)
  local live, sum, moved = {}, 0, false
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local each, tokens = tonumber(flat[i]), tonumber(flat[i + 1])
    if each > second - WINDOW_S and tokens > 0 then
      if each > second then each, moved = second, true end
      live[each] = (live[each] or 0) + tokens
      sum = sum + tokens
    end
  end
  return live, sum, moved
end

local function keep_slots(key, live)
  local flat = {}
  for each, tokens in pairs(live) do
    if tokens > 0 then
      flat[#flat + 1] = string.format('%.0f', each)
      flat[#flat + 1] = string.format('%.0f', tokens)
    end
  end
  redis.call('DEL', key)
  if #flat > 0 then
    redis.call('HSET', key, unpack(flat))
    redis.call('PEXPIRE', key, (WINDOW_S + 1) * 1000)
  end
end

local function token_wait_ns(live, sum, limit, cost)
  local seconds, over, wait = {}, sum + cost - limit, 0
  for each in pairs(live) do seconds[#seconds + 1] = each end
  table.sort(seconds)
  for _, each in ipairs(seconds) do
    if over <= 0 then break end
    over = over - live[each]
    wait = ((each + WINDOW_S) * US - now_us) * 1000
  end
  if over > 0 then wait = WINDOW_S * 1000000000 end -- only while others' shares are missing
  return wait
end

local function latest(live)
  local last = -1
  for each in pairs(live) do last = math.max(last, each) end
  return last
end

-- Each claim's decision: wait in ns (0 fits, NEVER), two figures for the caller, what to do if all fit. What was
-- ahead of its time is pulled in for good even when it is refused: a clock set back must not refuse until it is made up.
local decide = {}

function decide.r(key, interval, burst, floor_us, present, known)
  local horizon = interval * burst
  -- A rate with a burst below the number of gateways is counted by none of them on its own.
  local cost = burst >= known and math.ceil(interval * known / present) or interval
  local ahead, pulled = ahead_of(key, horizon, floor_us)
  local wait = math.max(ahead + cost - horizon, 0)
  if wait > 0 then
    if pulled then keep_ahead(key, ahead) end
    return wait, ahead, 0
  end
  return 0, ahead + cost, 0, function() keep_ahead(key, ahead + cost) end
end

function decide.t(key, limit, cost, floor_us, present, known)
  local live, sum, moved = live_slots(key)
  local counted = {}
  for each, tokens in pairs(live) do counted[each] = tokens end
  local floor_s = math.min(math.floor(floor_us / US), second)
  if floor_s > second - WINDOW_S then
    counted[floor_s] = (counted[floor_s] or 0) + limit
    sum = sum + limit
  end
  local wait = cost > limit and NEVER or token_wait_ns(counted, sum, math.floor(limit * present / known), cost)
  if wait ~= 0 then
    if moved then keep_slots(key, live) end
    return wait, sum, latest(counted)
  end
  live[second] = (live[second] or 0) + cost
  counted[second] = live[second]
  return 0, sum + cost, latest(counted), function() keep_slots(key, live) end
end

function decide.c(key, limit, id)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now_us)
  -- The clock was set back: a lease ends at most one lease from now.
  for _, late in ipairs(redis.call('ZRANGEBYSCORE', key, now_us + LEASE_US + 1, '+inf')) do
    redis.call('ZADD', key, now_us + LEASE_US, late)
  end
  if redis.call('ZCARD', key) >= limit then return RETRY_CONCURRENCY_NS, 0, 0 end
  return 0, 0, 0, function()
    redis.call('ZADD', key, now_us + LEASE_US, id)
    redis.call('PEXPIRE', key, LEASE_US / 1000 + 1000)
  end
end

local function decide_budget(key, kind, limit, cost)
  key = key .. ':' .. period_of(kind)
  local charged = tonumber(redis.call('GET', key) or '0')
  if cost > limit then return NEVER, charged, 0 end
  if charged + cost > limit then return 1, charged, 0 end -- the caller knows the calendar, and so the wait
  return 0, charged + cost, 0, function()
    local days = kind == 'd' and 2 or 33
    redis.call('SET', key, string.format('%.0f', charged + cost), 'PX', days * 24 * 3600 * 1000)
  end
end

function decide.d(key, limit, cost) return decide_budget(key, 'd', limit, cost) end
function decide.m(key, limit, cost) return decide_budget(key, 'm', limit, cost) end

-- Redis without memory refuses a script's first write, if that could need some, and then no other: so this one comes
-- first, that a decision is carried out whole or not at all and the caller learns of it.
local function require_memory() redis.call('HSET', KEYS[1], 'asked_us', now_us) end

-- charge: epoch, reservation's id or '', then for each claim: kind, report, two numbers. All or none (rule 7).
local function charge()
  local fleet = redis.call('HMGET', KEYS[1], 'epoch', 'floor_us')
  if fleet[1] ~= ARGV[3] then return { nonce, 'lost', now_us } end
  require_memory()
  local id, floor_us = ARGV[4], tonumber(fleet[2])
  if id ~= '' and redis.call('EXISTS', KEYS[4]) == 1 then return { nonce, 'settled', now_us } end
  local present, known = fleet_size()
  local reply, acts, fits = { nonce, 'decided', now_us }, {}, true
  for i = FIRST_CLAIM, #KEYS do
    local at = 5 + (i - FIRST_CLAIM) * FIELDS
    local kind, report, a, b = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    local wait, x, y, keep
    if kind == 'c' then
      wait, x, y, keep = decide.c(KEYS[i], a, id)
    else
      wait, x, y, keep = decide[kind](KEYS[i], a, b, floor_us, present, known)
    end
    if keep then acts[#acts + 1] = keep elseif report ~= '1' then fits = false end
    reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = wait, x, y
  end
  if fits then
    for _, keep in ipairs(acts) do keep() end
    if id ~= '' then redis.call('SET', KEYS[4], second, 'PX', HELD_MS) end
  end
  return reply
end

local settle_claim = {}

function settle_claim.t(key, reserved, used, reserved_second)
  local live = live_slots(key)
  if used > reserved then
    live[second] = (live[second] or 0) + used - reserved
  else
    local place = math.min(reserved_second, second)
    if place <= second - WINDOW_S then return end
    live[place] = math.max((live[place] or 0) - (reserved - used), 0)
  end
  keep_slots(key, live)
end

function settle_claim.b(key, reserved, used)
  local charged = redis.call('GET', key)
  if not charged then return end -- the period is long over
  redis.call('SET', key, string.format('%.0f', math.max(tonumber(charged) - reserved + used, 0)), 'KEEPTTL')
end

-- settle: id, then for each claim: kind, 0, reserved, used. Again is the same as once, and a reservation that comes
-- after its own settling, having been held up on the way, holds nothing. KEYS[4] is the second in which it was made.
local function settle()
  local id = ARGV[3]
  local held = tonumber(redis.call('GET', KEYS[4]) or 'none')
  redis.call('SET', KEYS[4], 'settled', 'PX', SETTLED_MS)
  for i = FIRST_CLAIM, #KEYS do
    local at = 4 + (i - FIRST_CLAIM) * FIELDS
    local kind = ARGV[at]
    if kind == 'c' then
      redis.call('ZREM', KEYS[i], id)
    elseif held then
      settle_claim[kind](KEYS[i], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), held)
    end
  end
  return { nonce, 'settled', now_us }
end

local bring = {}

function bring.r(key, horizon) keep_ahead(key, tonumber(horizon)) end -- emptied

function bring.t(key, age_s, tokens)
  local live = live_slots(key)
  local place = second - tonumber(age_s)
  live[place] = (live[place] or 0) + tonumber(tokens)
  keep_slots(key, live)
end

function bring.c(key, id)
  redis.call('ZADD', key, now_us + LEASE_US, id)
  redis.call('PEXPIRE', key, LEASE_US / 1000 + 1000)
end

function bring.x(key, id) redis.call('ZREM', key, id) end

function bring.b(key, charged, ms)
  if tonumber(charged) > tonumber(redis.call('GET', key) or '0') then redis.call('SET', key, charged, 'PX', ms) end
end

-- bring: for each key: kind, 0, two words. Leases renewed or ended, and what a gateway counted or knew on its own.
local function bring_all()
  require_memory()
  redis.call('PEXPIRE', KEYS[1], FLEET_MS)
  for i = FIRST_CLAIM, #KEYS do
    local at = 3 + (i - FIRST_CLAIM) * FIELDS
    bring[ARGV[at]](KEYS[i], ARGV[at + 2], ARGV[at + 3])
  end
  return { nonce, 'brought', now_us }
end

-- beat: gateway, epoch it knows or '', an epoch for a new store, latest time at which this may count or 0, and how
-- many gateways it knows. A store whose epoch a gateway does not know again lost what was counted: all begins empty.
-- A gateway that remembers nothing may found a store with everything full, as the store in memory begins.
local function beat()
  local gateway, known_epoch, fresh, not_after_us = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
  if not_after_us > 0 and now_us > not_after_us then return { nonce, 'stale', now_us } end
  require_memory()
  local memory = redis.call('INFO', 'memory')
  if string.match(memory, 'maxmemory_policy:(%S+)') ~= 'noeviction' and not string.match(memory, 'maxmemory:0%s') then
    return { nonce, 'evicts', now_us } -- a bucket that was evicted would be full again
  end
  local epoch = redis.call('HGET', KEYS[1], 'epoch')
  if not epoch then
    epoch = fresh
    redis.call('HSET', KEYS[1], 'epoch', epoch, 'floor_us', 0)
  end
  if known_epoch ~= '' and known_epoch ~= epoch then
    local least = math.max(tonumber(ARGV[7]), tonumber(redis.call('HGET', KEYS[1], 'least') or '1'))
    redis.call('HSET', KEYS[1], 'floor_us', now_us, 'least', least, 'least_us', now_us)
  end
  redis.call('PEXPIRE', KEYS[1], FLEET_MS)
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now_us - HOUR_US)
  redis.call('ZADD', KEYS[2], now_us, gateway)
  redis.call('PEXPIRE', KEYS[2], HOUR_US / 1000)
  local minute, most = math.floor(second / 60), redis.call('ZCARD', KEYS[2])
  local flat = redis.call('HGETALL', KEYS[3])
  for i = 1, #flat, 2 do
    if math.abs(tonumber(flat[i]) - minute) > 60 then
      redis.call('HDEL', KEYS[3], flat[i])
    else
      most = math.max(most, tonumber(flat[i + 1]))
    end
  end
  local before = tonumber(redis.call('HGET', KEYS[3], minute) or '0')
  redis.call('HSET', KEYS[3], minute, math.max(before, redis.call('ZCARD', KEYS[2])))
  redis.call('PEXPIRE', KEYS[3], HOUR_US / 1000)
  local present, known = fleet_size()
  return { nonce, 'beaten', now_us, epoch, math.max(most, known), present }
end

-- leave: gateway. What it counted is here, so the others need not do without its share.
local function leave()
  redis.call('ZREM', KEYS[2], ARGV[3])
  local least = tonumber(redis.call('HGET', KEYS[1], 'least') or '1')
  if least > 1 then redis.call('HSET', KEYS[1], 'least', least - 1) end
  return { nonce, 'left', now_us }
end

local use = {}

function use.r(key, interval, burst, floor_us) return (ahead_of(key, interval * burst, floor_us)), 0 end

function use.t(key, limit, _, floor_us)
  local live, sum = live_slots(key)
  local floor_s = math.min(math.floor(floor_us / US), second)
  if floor_s > second - WINDOW_S then
    live[floor_s] = (live[floor_s] or 0) + limit
    sum = sum + limit
  end
  return sum, latest(live)
end

function use.c(key) return redis.call('ZCOUNT', key, '(' .. string.format('%.0f', now_us), '+inf'), 0 end

function use.d(key) return tonumber(redis.call('GET', key .. ':' .. period_of('d')) or '0'), 0 end
function use.m(key) return tonumber(redis.call('GET', key .. ':' .. period_of('m')) or '0'), 0 end

-- use: epoch, then for each claim: kind, report, two numbers. What is in use now, for people who look; writes nothing.
local function use_all()
  local fleet = redis.call('HMGET', KEYS[1], 'epoch', 'floor_us')
  if fleet[1] ~= ARGV[3] then return { nonce, 'lost', now_us } end
  local reply = { nonce, 'used', now_us }
  for i = FIRST_CLAIM, #KEYS do
    local at = 4 + (i - FIRST_CLAIM) * FIELDS
    local one, last = use[ARGV[at]](KEYS[i], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(fleet[2]))
    reply[#reply + 1], reply[#reply + 2] = one, last
  end
  return reply
end

local acts = { charge = charge, settle = settle, bring = bring_all, beat = beat, leave = leave, use = use_all }
return acts[act]()
