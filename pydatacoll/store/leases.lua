#!lua name=pydatacoll_leases

-- Take, renew or give back a lease.
-- KEYS[1] the lease; KEYS[2], of a partition, who held it last; ARGV[1] manager; ARGV[2] milliseconds, 0 gives it back
-- Reply: 1 ours, 0 somebody else's
local function lease(names, argv)
  local owner = redis.call('GET', names[1])
  if owner and owner ~= argv[1] then
    return 0
  end
  if argv[2] == '0' then
    redis.call('DEL', names[1])
    if names[2] and redis.call('GET', names[2]) == argv[1] then
      redis.call('SET', names[2], '')
    end
    return 0
  end
  redis.call('SET', names[1], argv[1], 'PX', argv[2])
  if names[2] then
    redis.call('SET', names[2], argv[1])
  end
  return 1
end

-- Renew a lease, also one that ran out if nobody else has held it since.
-- KEYS[1] the lease; KEYS[2] who held it last; ARGV[1] manager; ARGV[2] milliseconds
-- Reply: 1 ours, 0 lost
local function renew(names, argv)
  local owner = redis.call('GET', names[1])
  local holder = redis.call('GET', names[2])
  if (owner and owner ~= argv[1]) or (holder and holder ~= argv[1]) then
    return 0
  end
  return lease(names, argv)
end

local EVENTS_KEPT = 10000

-- Note that an owner came or went.
-- events: STREAM:EVENT, or nil; what: what kind of owner it is
local function owner_event(events, what, owner, happened, severity)
  if events and what then
    redis.call('XADD', events, 'MAXLEN', '~', EVENTS_KEPT, '*', 'event', cjson.encode({
      kind = 'system',
      severity = severity,
      object = owner,
      text = what .. ' ' .. owner .. ' ' .. happened,
    }))
  end
end

-- Note that a manager is alive, or (0 milliseconds) that it stops. Redis' own clock decides who is alive.
-- KEYS[1] sorted set of managers; KEYS[2] STREAM:EVENT; ARGV[1] manager; ARGV[2] milliseconds; ARGV[3] what it is
-- Reply: the managers that are alive
local function heartbeat(names, argv)
  local now = redis.call('TIME')
  local milliseconds = now[1] * 1000 + math.floor(now[2] / 1000)
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', names[1], '-inf', milliseconds, 'LIMIT', 0, 100)) do
    if gone ~= argv[1] then
      redis.call('ZREM', names[1], gone)
      owner_event(names[2], argv[3], gone, 'is gone without a word', 'error')
    end
  end
  if argv[2] == '0' then
    if redis.call('ZREM', names[1], argv[1]) == 1 then
      owner_event(names[2], argv[3], argv[1], 'has stopped', 'info')
    end
  elseif redis.call('ZADD', names[1], milliseconds + tonumber(argv[2]), argv[1]) == 1 then
    owner_event(names[2], argv[3], argv[1], 'has started', 'info')
  end
  return redis.call('ZRANGE', names[1], 0, -1)
end

-- A manager is known to be dead: take it off the list and end its leases.
-- KEYS[1] sorted set of managers, KEYS[2] STREAM:EVENT, KEYS[3...] leases; ARGV[1] manager, ARGV[2] what it is
local function bury(names, argv)
  if redis.call('ZREM', names[1], argv[1]) == 1 then
    owner_event(names[2], argv[2], argv[1], 'has died', 'error')
  end
  for i = 3, #names do
    if redis.call('GET', names[i]) == argv[1] then
      redis.call('DEL', names[i])
    end
  end
  return 1
end

redis.register_function('manager_bury', bury)
redis.register_function('lease', lease)
redis.register_function('lease_renew', renew)
redis.register_function('manager_heartbeat', heartbeat)
