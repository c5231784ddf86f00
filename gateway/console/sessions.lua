-- The console's sessions, shared by gateways of several hosts.
-- KEYS: [1] hash digest -> sealed row, [2] hash alarm -> "AT UNTIL"
-- ARGV: [1] nonce, [2] what to do, then its arguments. The reply begins with the nonce.
-- Both keys end LIFE_MS after the last write: rows and alarms hold for less than that.
local LIFE_MS = 26 * 3600 * 1000
local nonce, act = ARGV[1], ARGV[2]
local reply = { nonce }

if act == 'put' then
  redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
  redis.call('PEXPIRE', KEYS[1], LIFE_MS)
elseif act == 'update' then
  if redis.call('HEXISTS', KEYS[1], ARGV[3]) == 1 then
    redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
    redis.call('PEXPIRE', KEYS[1], LIFE_MS)
  end
elseif act == 'get' then
  reply[2] = redis.call('HGET', KEYS[1], ARGV[3])
elseif act == 'all' then
  for _, each in ipairs(redis.call('HGETALL', KEYS[1])) do reply[#reply + 1] = each end
elseif act == 'drop' then
  reply[2] = redis.call('HDEL', KEYS[1], ARGV[3])
elseif act == 'alarm' then
  redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
  redis.call('PEXPIRE', KEYS[2], LIFE_MS)
elseif act == 'alarms' then
  local held = redis.call('HGETALL', KEYS[2])
  for at = 1, #held, 2 do
    local until_s = tonumber(string.match(held[at + 1], '^%S+ (%S+)$'))
    if until_s == nil or until_s <= tonumber(ARGV[3]) then
      redis.call('HDEL', KEYS[2], held[at])
    else
      reply[#reply + 1] = held[at + 1]
    end
  end
end
return reply
