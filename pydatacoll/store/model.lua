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

-- { 'HASHES', n, field 1, ..., field n, name, value 1, ..., value n, name, ... }
local function store_hashes(op)
  local count = op[2]
  local command = { 'HSET', '' }
  for f = 1, count do
    command[2 * f + 1] = op[2 + f]
  end
  for row = 3 + count, #op, count + 1 do
    command[2] = op[row]
    for f = 1, count do
      command[2 * f + 2] = op[row + f]
    end
    run(command)
  end
end

-- A version is never used twice, not even after the data was flushed or restored from a copy: it follows the
-- clock. That is how a reader that was away notices that history went another way.
local function next_version(current)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  return string.format('%.0f', math.max(tonumber(current) + 1, now))
end

-- KEYS: version, log, turn. ARGV: expected version, commands (msgpack), hashes (JSON), events (msgpack: channel ->
-- lines), writer. Returns { 1, new version }; { 0, present version } when another writer was faster: then the next
-- turn is this writer's, so that nobody loses for ever; { 2 } when the turn is another writer's.
local function commit(names, args)
  local turn = redis.call('GET', names[3])
  if turn and turn ~= args[5] then
    return { 2 }
  end
  local current = redis.call('GET', names[1]) or '0'
  if current ~= args[1] then
    redis.call('SET', names[3], args[5], 'PX', 3000)
    return { 0, current }
  end
  if turn then
    redis.call('DEL', names[3])
  end
  local ops = cmsgpack.unpack(args[2])
  local events = cmsgpack.unpack(args[4])
  local version = next_version(current)
  local kept = #args[3] > 65536 and '20' or '1000'  -- large entries are to take no more than some megabytes
  local entry = { 'XADD', names[2], 'MAXLEN', '~', kept, version .. '-0', 'prev', current, 'hashes', args[3] }
  run(entry)
  redis.call('SET', names[1], version)

  local remembered = {}
  for _, op in ipairs(ops) do
    if op[1] == 'HASHES' then
      store_hashes(op)
    elseif op[1] == 'READ' then
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
      for text in string.gmatch(texts, '[^\n]+') do
        redis.call('PUBLISH', channel, text .. version .. '}')
      end
    end
  end
  return { 1, version }
end

-- KEYS: turn. ARGV: writer
local function release(names, args)
  if redis.call('GET', names[1]) == args[1] then
    redis.call('DEL', names[1])
  end
  return 1
end

local function read(names)
  local found = {}
  for n, name in ipairs(names) do
    local fields = redis.pcall('HGETALL', name)
    found[n] = fields.err and { 'corrupt' } or fields
  end
  return found
end

-- KEYS: version, log. ARGV: known version, most hashes to be read. What changed since, at one moment. Returns
-- msgpack { version, { hash name, ... }, { {field, text, ...}, ... } }; the last is nil when there are too many
-- to be read at once; only { version } when the log does not lead from the known version to the present one.
local function since(names, args)
  local version = redis.call('GET', names[1]) or '0'
  local known = args[1]
  local seen, changed = {}, {}
  if known ~= version then
    for _, entry in ipairs(redis.call('XRANGE', names[2], '(' .. known .. '-0', '+')) do
      local fields = entry[2]
      if fields[1] ~= 'prev' or fields[2] ~= known then
        return cmsgpack.pack({ version })
      end
      known = string.match(entry[1], '^%d+')
      for _, name in ipairs(cjson.decode(fields[4])) do
        if not seen[name] then
          seen[name] = true
          changed[#changed + 1] = name
        end
      end
    end
  end
  if known ~= version then
    return cmsgpack.pack({ version })
  end
  if #changed > tonumber(args[2]) then
    return cmsgpack.pack({ version, changed })
  end
  return cmsgpack.pack({ version, changed, read(changed) })
end

-- KEYS: hashes. Returns msgpack { {field, text, ...}, ... }; an absent one is empty
local function hashes(names)
  return cmsgpack.pack(read(names))
end

-- KEYS: sets. Returns msgpack { {member, ...}, ... }
local function members(names)
  local found = {}
  for n, name in ipairs(names) do
    local list = redis.pcall('SMEMBERS', name)
    found[n] = list.err and {} or list
  end
  return cmsgpack.pack(found)
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
redis.register_function{ function_name = 'model_since', callback = since, flags = { 'no-writes' } }
redis.register_function('model_release', release)
redis.register_function('model_move', move)
