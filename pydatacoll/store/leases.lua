#!lua name=pydatacoll_leases

-- Take, renew or give back the lease of a partition.
-- KEYS[1] the lease; ARGV[1] manager; ARGV[2] milliseconds, 0 gives it back
-- Reply: 1 ours, 0 somebody else's
local function lease(names, argv)
  local owner = redis.call('GET', names[1])
  if owner and owner ~= argv[1] then
    return 0
  end
  if argv[2] == '0' then
    redis.call('DEL', names[1])
    return 0
  end
  redis.call('SET', names[1], argv[1], 'PX', argv[2])
  return 1
end

-- Note that a manager is alive, or (0 milliseconds) that it stops. Redis' own clock decides who is alive.
-- KEYS[1] sorted set of managers; ARGV[1] manager; ARGV[2] milliseconds
-- Reply: the managers that are alive
local function heartbeat(names, argv)
  local now = redis.call('TIME')
  local milliseconds = now[1] * 1000 + math.floor(now[2] / 1000)
  redis.call('ZREMRANGEBYSCORE', names[1], '-inf', milliseconds)
  if argv[2] == '0' then
    redis.call('ZREM', names[1], argv[1])
  else
    redis.call('ZADD', names[1], milliseconds + tonumber(argv[2]), argv[1])
  end
  return redis.call('ZRANGE', names[1], 0, -1)
end

redis.register_function('lease', lease)
redis.register_function('manager_heartbeat', heartbeat)
