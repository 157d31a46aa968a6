#!lua name=pydatacoll_queries

-- Ask the manager of a device something.
-- KEYS[1] LEASE:{pN}, KEYS[2] of what may be taken only once: QUERY:{pN}:{id}
-- ARGV[1] channel, ARGV[2] message, ARGV[3] milliseconds until it must not be taken any more
-- Reply: managers that heard it, 0 none, -1 no lease
local function ask(names, argv)
  if redis.call('EXISTS', names[1]) == 0 then
    return -1
  end
  if names[2] then
    redis.call('SET', names[2], '1', 'PX', argv[3])
  end
  return redis.call('PUBLISH', argv[1], argv[2])
end

redis.register_function('query_ask', ask)
