-- Letters to gateways, each on its channel; those of a decider only while it holds the lease.
--
-- KEYS  1 lease (as in lease.lua)
-- ARGV  1 nonce, given back first  2 the lease that the sender must hold (epoch, a blank, its name), '' for none
--       3.. pairs: channel, letter
-- Reply nonce, 1 or 0 for a lease that is another's by now, then how many received each letter.

if ARGV[2] ~= '' and redis.call('GET', KEYS[1]) ~= ARGV[2] then
  return { ARGV[1], 0 }
end
local reply = { ARGV[1], 1 }
for at = 3, #ARGV, 2 do
  reply[#reply + 1] = redis.call('PUBLISH', ARGV[at], ARGV[at + 1])
end
return reply
