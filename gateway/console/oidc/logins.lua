-- Sign-ins under way at an identity provider, shared by gateways of several hosts. The rules are those of
-- policies/console/oidc_pending.py: a network pushes out its own oldest, all together push out the oldest of all.
-- KEYS: [1] hash place -> "NETWORK BEGUN REDIRECT", [2] sorted set of places by their beginning
-- ARGV: [1] nonce, [2] 'put': place, network, begun, redirect, life in s, most of all, most of a network
--                  'take': place
-- The reply begins with the nonce; that of 'take' goes on with the row, if it was there.
local kept, order = KEYS[1], KEYS[2]
local function own(network) return kept .. ':' .. network end

local function drop(place)
  local row = redis.call('HGET', kept, place)
  redis.call('HDEL', kept, place)
  redis.call('ZREM', order, place)
  if row then redis.call('ZREM', own(string.match(row, '^%S*')), place) end
  return row
end

local reply = { ARGV[1] }
if ARGV[2] == 'take' then
  local row = drop(ARGV[3])
  if row then reply[2] = row end
  return reply
end

local place, network, begun, redirect = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local life, most, most_of_network = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
for _, old in ipairs(redis.call('ZRANGEBYSCORE', order, '-inf', '(' .. (begun - life))) do drop(old) end
if redis.call('ZCARD', own(network)) >= most_of_network then
  drop(redis.call('ZRANGE', own(network), 0, 0)[1])
end
if redis.call('ZCARD', order) >= most then drop(redis.call('ZRANGE', order, 0, 0)[1]) end
redis.call('HSET', kept, place, network .. ' ' .. ARGV[5] .. ' ' .. redirect)
redis.call('ZADD', order, begun, place)
redis.call('ZADD', own(network), begun, place)
for _, key in ipairs({ kept, order, own(network) }) do redis.call('PEXPIRE', key, 2000 * life) end
return reply
