#!lua name=pydatacoll_commands

-- A JSON object with one more member
local function with(object, name, value)
  return string.sub(object, 1, -2) .. ',"' .. name .. '":' .. value .. '}'
end

-- Write the audit trail, each entry with the last known value of its point (the latest values hold
-- "time,quality,value"). argv from first on: most audit entries, their number, the entries, then the field t:i of each.
-- Returns the values as a JSON list
local function record(trail, latest, argv, first)
  local length, count = argv[first], tonumber(argv[first + 1])
  local entries = first + 1
  local fields = entries + count
  local before = {}
  for start = 1, count, 1000 do
    local last = math.min(start + 999, count)
    local found = redis.call('HMGET', latest, unpack(argv, fields + start, fields + last))
    for n = start, last do
      local text = found[n - start + 1]
      before[n] = text and string.match(text, '^[^,]*,[^,]*,(.+)$') or 'null'
      redis.call('XADD', trail, 'MAXLEN', '~', length, '*', 'entry', with(argv[entries + n], 'before', before[n]))
    end
  end
  return '[' .. table.concat(before, ',') .. ']'
end

-- Write the audit trail alone. KEYS[1] STREAM:AUDIT, KEYS[2] HS:LATEST:{pN}:d, ARGV: see record
local function audit(names, argv)
  return record(names[1], names[2], argv, 1)
end

-- Send a command out: in this order check that somebody owns the device, write the audit trail, open the command,
-- publish. What cannot be audited is not sent. When nobody hears it, it is closed again.
-- KEYS[1] COMMAND:{id}, KEYS[2] LEASE:{pN}, KEYS[3] STREAM:AUDIT, KEYS[4] HS:LATEST:{pN}:d
-- ARGV[1] its expiry by the clock of this server, milliseconds since 1970, ARGV[2] channel, ARGV[3] message,
-- ARGV[4...] see record; none of a call. The message gets the values, too
-- Reply: managers that heard it, 0 none, -1 no lease, -2 it came too late: a request may wait long in a socket
local function open(names, argv)
  local time = redis.call('TIME')
  local left = tonumber(argv[1]) - time[1] * 1000 - math.floor(time[2] / 1000)
  if left < 1 then
    return -2
  end
  if redis.call('EXISTS', names[2]) == 0 then
    return -1
  end
  local message = argv[3]
  if #argv > 3 then
    message = with(message, 'before', record(names[3], names[4], argv, 4))
  end
  redis.call('SET', names[1], 'open', 'PX', left)
  local heard = redis.call('PUBLISH', argv[2], message)
  if heard == 0 then
    redis.call('DEL', names[1])
  end
  return heard
end

-- Take a command for execution: once, and only before it expired. Redis' own clock decides.
-- KEYS[1] COMMAND:{id}; ARGV[1] seconds to remember that it was taken, ARGV[2] pattern of the result channels
-- Reply: { milliseconds left, or -1 when it was taken already, expired, or never existed; listeners to results }
local function claim(names, argv)
  if redis.call('GET', names[1]) ~= 'open' then
    return { -1, 0 }
  end
  local left = redis.call('PTTL', names[1])
  redis.call('SET', names[1], 'taken', 'EX', argv[1])
  return { left, redis.call('PUBSUB', 'NUMPAT') + #redis.call('PUBSUB', 'CHANNELS', argv[2]) }
end

-- Answer a command: keep the result, tell who asked, write the audit trail, tell who listens.
-- KEYS[1] COMMAND:{id}, KEYS[2] STREAM:AUDIT
-- ARGV[1] result, ARGV[2] seconds to remember it, ARGV[3] reply channel or "", ARGV[4] most audit entries,
-- ARGV[5] number of audit entries, the entries, then channel, message, ...
local function reply(names, argv)
  redis.call('SET', names[1], argv[1], 'EX', argv[2])
  if argv[3] ~= '' then
    redis.call('PUBLISH', argv[3], argv[1])
  end
  local last = 5 + tonumber(argv[5])
  for i = 6, last do
    redis.call('XADD', names[2], 'MAXLEN', '~', argv[4], '*', 'entry', argv[i])
  end
  for i = last + 1, #argv, 2 do
    redis.call('PUBLISH', argv[i], argv[i + 1])
  end
  return 1
end

-- Withdraw a command nobody has taken. Reply: 1 withdrawn (it will never run), 0 too late
local function withdraw(names)
  if redis.call('GET', names[1]) == 'open' then
    redis.call('DEL', names[1])
    return 1
  end
  return 0
end

redis.register_function('command_audit', audit)
redis.register_function('command_open', open)
redis.register_function('command_claim', claim)
redis.register_function('command_reply', reply)
redis.register_function('command_withdraw', withdraw)
