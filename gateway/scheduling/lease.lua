-- Who decides: one gateway holds the lease, for so long; every gateway says here that it lives.
--
-- KEYS  1 lease (string: epoch, a blank, name of its holder; ends by itself)  2 epoch (string: the last one given)
--       3 gateways (sorted set: name -> server's ms at which it beat last)
-- ARGV  1 nonce, given back first  2 who asks  3 highest epoch that it knows of  4 lease in ms  5 silence in ms after
--       which a gateway is not present  6 what to do: 'beat' or 'leave'  7 how the names of mail channels begin
-- Reply nonce, holder ('' for nobody), epoch, ms left of the lease, receivers of the asker's own mail, then who is present.
--
-- Nobody can hold the lease whose mail reaches nobody: then it is free at once, though its time is not over. An epoch is
-- higher than any before it, also those that only the asker or the workers remember after Redis lost its data: it is
-- never below the server's time in ms, and thus never above 2^53.

local lease, last, gateways = KEYS[1], KEYS[2], KEYS[3]
local me, known, lease_ms, silence_ms, mail = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[7]

local function receivers(name)
  return redis.call('PUBSUB', 'NUMSUB', mail .. name)[2]
end

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch, holder = '0', ''
local held = redis.call('GET', lease)
if held then
  epoch, holder = held:match('^(%d+) (.+)$')
end

if ARGV[6] == 'leave' then
  redis.call('ZREM', gateways, me)
  if holder == me then
    redis.call('DEL', lease)
    holder = ''
  end
else
  redis.call('ZADD', gateways, now_ms, me)
  if holder ~= '' and holder ~= me and receivers(holder) == 0 then
    redis.call('ZREM', gateways, holder)
    holder = ''
  end
  if holder == me then
    redis.call('PEXPIRE', lease, lease_ms)
  elseif holder == '' and receivers(me) > 0 then
    local next_epoch = math.max(tonumber(redis.call('GET', last) or '0') + 1, known + 1, now_ms)
    epoch, holder = string.format('%.0f', next_epoch), me
    redis.call('SET', last, epoch)
    redis.call('SET', lease, epoch .. ' ' .. me, 'PX', lease_ms)
  end
end

redis.call('ZREMRANGEBYSCORE', gateways, '-inf', '(' .. (now_ms - silence_ms))
local left_ms = redis.call('PTTL', lease)
local reply = { ARGV[1], holder, epoch, left_ms, receivers(me) }
for _, name in ipairs(redis.call('ZRANGE', gateways, 0, -1)) do
  reply[#reply + 1] = name
end
return reply
