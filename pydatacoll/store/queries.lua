#!lua name=pydatacoll_queries

-- Ask the manager of a device something that changes nothing.
-- KEYS[1] LEASE:{pN}; ARGV[1] channel, ARGV[2] message
-- Reply: managers that heard it, 0 none, -1 no lease
local function ask(names, argv)
  if redis.call('EXISTS', names[1]) == 0 then
    return -1
  end
  return redis.call('PUBLISH', argv[1], argv[2])
end

redis.register_function('query_ask', ask)
