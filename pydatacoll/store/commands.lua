#!lua name=pydatacoll_commands

-- Take a command for execution: once, and only before it expired. Redis' own clock decides.
-- KEYS[1] COMMAND:{id}; ARGV[1] seconds to remember that it was taken
-- Reply: milliseconds left, or -1 when it was taken already, expired, or never existed
local function claim(names, argv)
  if redis.call('GET', names[1]) ~= 'open' then
    return -1
  end
  local left = redis.call('PTTL', names[1])
  redis.call('SET', names[1], 'taken', 'EX', argv[1])
  return left
end

-- Withdraw a command nobody has taken. Reply: 1 withdrawn (it will never run), 0 too late
local function withdraw(names)
  if redis.call('GET', names[1]) == 'open' then
    redis.call('DEL', names[1])
    return 1
  end
  return 0
end

redis.register_function('command_claim', claim)
redis.register_function('command_withdraw', withdraw)
