#!lua name=pydatacoll_model

-- The model. A commit is one call: version check, all writes, log entry, events. Scripts do not roll back, so
-- nothing here may fail midway: the entry that may be refused comes first, and a key of the wrong type is junk
-- under a name that belongs to the model, so it is replaced.

local function run(op)
  local reply = redis.pcall(unpack(op))
  if type(reply) == 'table' and reply.err then
    redis.call('DEL', op[2])
    redis.pcall(unpack(op))
  end
end

-- A version is never used twice, not even after the data was flushed or restored from a copy: it follows the
-- clock. That is how a reader that was away notices that history went another way.
local function next_version(current)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  return string.format('%.0f', math.max(tonumber(current) + 1, now))
end

-- KEYS: version, log. ARGV: expected version, commands (msgpack), keys (JSON), events (msgpack: channel -> texts)
-- Returns { 1, new version } or { 0, present version }
local function commit(names, args)
  local current = redis.call('GET', names[1]) or '0'
  if current ~= args[1] then
    return { 0, current }
  end
  local ops = cmsgpack.unpack(args[2])
  local events = cmsgpack.unpack(args[4])
  local version = next_version(current)
  local entry = { 'XADD', names[2], 'MAXLEN', '~', '1000', version .. '-0', 'prev', current, 'keys', args[3] }
  run(entry)
  redis.call('SET', names[1], version)

  local remembered = {}
  for _, op in ipairs(ops) do
    if op[1] == 'READ' then
      local fields = redis.pcall('HGETALL', op[2])
      remembered[op[2]] = fields.err and {} or fields
    elseif op[1] == 'EXTRA' then
      local fields = remembered[op[2]]
      if #fields > 0 then
        redis.call('HSET', op[3], unpack(fields, 1, math.min(#fields, 1000)))
      end
    else
      run(op)
    end
  end

  local patterns = redis.call('PUBSUB', 'NUMPAT') > 0
  for channel, texts in pairs(events) do
    if patterns or redis.call('PUBSUB', 'NUMSUB', channel)[2] > 0 then
      for _, text in ipairs(texts) do
        redis.call('PUBLISH', channel, text .. version .. '}')
      end
    end
  end
  return { 1, version }
end

-- KEYS: version, then hashes. Returns msgpack { version, { {field, text, ...}, ... } }; an absent one is empty
local function hashes(names)
  local found = {}
  for n = 2, #names do
    local fields = redis.pcall('HGETALL', names[n])
    found[n - 1] = fields.err and { 'corrupt' } or fields
  end
  return cmsgpack.pack({ redis.call('GET', names[1]) or '0', found })
end

-- KEYS: version, then sets. Returns msgpack { version, { {member, ...}, ... } }
local function members(names)
  local found = {}
  for n = 2, #names do
    local list = redis.pcall('SMEMBERS', names[n])
    found[n - 1] = list.err and {} or list
  end
  return cmsgpack.pack({ redis.call('GET', names[1]) or '0', found })
end

-- ARGV: msgpack { { list, hash, field, new list, new hash, new field }, ... }: recent data of renamed points
local function move(_, args)
  for _, point in ipairs(cmsgpack.unpack(args[1])) do
    redis.call('UNLINK', point[4])
    if redis.call('EXISTS', point[1]) == 1 then
      redis.call('RENAME', point[1], point[4])
    end
    redis.call('HDEL', point[5], point[6])
    local latest = redis.call('HGET', point[2], point[3])
    if latest then
      redis.call('HDEL', point[2], point[3])
      redis.call('HSET', point[5], point[6], latest)
    end
  end
  return 1
end

redis.register_function('model_commit', commit)
redis.register_function{ function_name = 'model_hashes', callback = hashes, flags = { 'no-writes' } }
redis.register_function{ function_name = 'model_members', callback = members, flags = { 'no-writes' } }
redis.register_function('model_move', move)
