-- The copy of keys, revocations, lockdowns and grants that gateways on several hosts share. The records are sealed;
-- this script only sees to it that nobody overwrites what they have not read.
--
-- KEYS  1 records (hash: field -> sealed record)  2 changes (sorted set: field -> version)  3 head (hash: epoch, version)
-- ARGV  1 nonce, given back first  2 epoch  3 version that the caller knows  4 a new epoch, should there be none
--       5.. pairs: field, sealed record
-- Reply nonce, epoch, version, then field and record of all that changed after the version that the caller knows.

local records, changes, head = KEYS[1], KEYS[2], KEYS[3]
local known = tonumber(ARGV[3])

local epoch = redis.call('HGET', head, 'epoch')
if not epoch then
  epoch = ARGV[4]
  redis.call('DEL', records, changes)
  redis.call('HSET', head, 'epoch', epoch, 'version', 0)
end
if epoch ~= ARGV[2] then
  known = 0
else
  for at = 5, #ARGV, 2 do
    local score = redis.call('ZSCORE', changes, ARGV[at])
    if not score or tonumber(score) <= known then
      redis.call('HSET', records, ARGV[at], ARGV[at + 1])
      redis.call('ZADD', changes, redis.call('HINCRBY', head, 'version', 1), ARGV[at])
    end
  end
end

local reply = { ARGV[1], epoch, redis.call('HGET', head, 'version') }
for _, field in ipairs(redis.call('ZRANGEBYSCORE', changes, '(' .. known, '+inf')) do
  reply[#reply + 1] = field
  reply[#reply + 1] = redis.call('HGET', records, field)
end
return reply
