#!lua name=pydatacoll_model

-- The model. A commit is one call: version check, all writes, log entry, events; a large one is staged, see below.
-- Scripts do not roll back, so nothing here may fail midway: the entry that may be refused comes first, and a key of
-- the wrong type is junk under a name that belongs to the model, so it is replaced.

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

-- The entries of the audit trail that belong to a change: before it, so that there is none without them. Entries of
-- large changes are large: then the oldest go until the trail takes no more memory than it may.
local function record(trail, entries, first, length, most)
  local size = 0
  for n = first, #entries do
    redis.call('XADD', trail, 'MAXLEN', '~', length, '*', 'entry', entries[n])
    size = size + #entries[n]
  end
  if size < 65536 then
    return
  end
  most = tonumber(most)
  while redis.call('MEMORY', 'USAGE', trail, 'SAMPLES', 0) > most do
    local left = redis.call('XLEN', trail)
    local kept = math.max(math.floor(left * 3 / 4), #entries - first + 1)
    if kept >= left then
      return
    end
    redis.call('XTRIM', trail, 'MAXLEN', kept)
  end
end

-- { 'EVENTS', channel, lines }: published when somebody listens; the version is added to each
local function announce(channel, lines, version)
  if redis.call('PUBSUB', 'NUMPAT') == 0 and redis.call('PUBSUB', 'NUMSUB', channel)[2] == 0 then
    return
  end
  for line in string.gmatch(lines, '[^\n]+') do
    redis.call('PUBLISH', channel, line .. version .. '}')
  end
end

-- One operation of a change. kept: what READ remembers for EXTRA, a table, or the name of a hash when the change is
-- written by more than one call; what was remembered first counts, so that a repetition does no harm.
local function perform(op, kept, version)
  local what = op[1]
  if what == 'HASHES' then
    store_hashes(op)
  elseif what == 'READ' then
    local fields = redis.pcall('HGETALL', op[2])
    fields = fields.err and {} or fields
    if type(kept) == 'table' then
      kept[op[2]] = fields
    else
      redis.call('HSETNX', kept, op[2], cmsgpack.pack(fields))
    end
  elseif what == 'EXTRA' then
    local fields = type(kept) == 'table' and kept[op[2]] or cmsgpack.unpack(redis.call('HGET', kept, op[2]))
    if #fields > 0 then
      redis.call('HSET', op[3], unpack(fields, 1, math.min(#fields, 1000)))
    end
  elseif what == 'EVENTS' then
    announce(op[2], op[3], version)
  elseif what == 'AUDIT' then  -- trail, most entries, most bytes, entries
    local kind = redis.call('TYPE', op[2]).ok
    if kind ~= 'stream' and kind ~= 'none' then  -- put there since the change began, which must be finished
      redis.call('DEL', op[2])
    end
    record(op[2], op, 5, op[3], op[4])
  else
    run(op)
  end
end

-- Whether a writer may commit: nil, or the answer that says why not, see model_commit. KEYS: version, log, turn,
-- pending. A change that is still being written comes first; then the version is another one anyway.
local function obstacle(names, expected, writer)
  local turn = redis.call('GET', names[3])
  if turn and turn ~= writer then
    return { 2 }
  end
  local current = redis.call('GET', names[1]) or '0'
  if current ~= expected or redis.call('EXISTS', names[4]) == 1 then
    redis.call('SET', names[3], writer, 'PX', 3000)
    return { 0, current }
  end
end

-- KEYS: version, log, turn, pending, audit trail. ARGV: expected version, commands (msgpack), hashes (JSON), events
-- (msgpack: channel -> lines), writer, most audit entries, most bytes of the trail, audit entries. Returns { 1, new
-- version }; { 0, present version } when another writer was faster: then the next turn is this writer's, so that
-- nobody loses for ever; { 2 } when the turn is another writer's.
local function commit(names, args)
  local refused = obstacle(names, args[1], args[5])
  if refused then
    return refused
  end
  record(names[5], args, 8, args[6], args[7])
  redis.call('DEL', names[3])
  local version = next_version(args[1])
  local most = #args[3] > 65536 and '20' or '1000'  -- large entries are to take no more than some megabytes
  local entry = { 'XADD', names[2], 'MAXLEN', '~', most, version .. '-0', 'prev', args[1], 'hashes', args[3] }
  run(entry)
  redis.call('SET', names[1], version)
  local kept = {}
  for _, op in ipairs(cmsgpack.unpack(args[2])) do
    perform(op, kept, version)
  end
  for channel, lines in pairs(cmsgpack.unpack(args[4])) do
    announce(channel, lines, version)
  end
  return { 1, version }
end

-- A large change is staged: its parts are put into a list, call by call (model_stage); then it happens, at one
-- moment (model_begin); then its parts are carried out, one by one, by whoever comes first (model_apply). Until the
-- last one is done nobody may read or change the model.

-- KEYS: list. ARGV: milliseconds it lives, part. Returns how many parts there are.
local function stage(names, args)
  local count = redis.call('RPUSH', names[1], args[2])
  redis.call('PEXPIRE', names[1], args[1])
  return count
end

-- KEYS: version, log, turn, pending, audit trail, parts, names, remembered fields. ARGV: expected version, writer,
-- number of parts, number of lists of names, milliseconds that the names live. Returns as model_commit; { 3 } when
-- what was staged is not whole any more.
local function begin(names, args)
  local refused = obstacle(names, args[1], args[2])
  if refused then
    return refused
  end
  if redis.call('LLEN', names[6]) ~= tonumber(args[3]) or redis.call('LLEN', names[7]) ~= tonumber(args[4]) then
    return { 3 }
  end
  redis.call('XLEN', names[5])  -- raises when it is not a trail: what cannot be audited must not happen
  redis.call('DEL', names[3])
  local version = next_version(args[1])
  local entry = { 'XADD', names[2], 'MAXLEN', '~', '1000', version .. '-0', 'prev', args[1], 'hashes', '[]',
    'names', names[7], 'count', args[4] }
  run(entry)
  redis.call('SET', names[1], version)
  redis.call('PERSIST', names[6])
  redis.call('PEXPIRE', names[7], args[5])
  redis.call('HSET', names[4], 'parts', names[6], 'fields', names[8], 'version', version)
  return { 1, version }
end

-- KEYS: pending. Carries out the next part of a change that has begun; returns how many are left.
local function apply(names)
  local pending = redis.pcall('HMGET', names[1], 'parts', 'fields', 'version')
  if pending.err or not pending[1] then
    redis.call('DEL', names[1])
    return 0
  end
  local part = redis.call('LINDEX', pending[1], 0)
  if part then
    for _, op in ipairs(cmsgpack.unpack(part)) do
      perform(op, pending[2], pending[3])
    end
    redis.call('LPOP', pending[1])
  end
  local left = redis.call('LLEN', pending[1])
  if left == 0 then
    redis.call('UNLINK', names[1], pending[2])
  end
  return left
end

-- KEYS: version, pending. The version; '' while a change is still being written.
local function version(names)
  return redis.call('EXISTS', names[2]) == 1 and '' or redis.call('GET', names[1]) or '0'
end

-- KEYS: turn. ARGV: writer, milliseconds. Keeps the turn, when it is still this writer's.
local function hold(names, args)
  if redis.call('GET', names[1]) == args[1] then
    redis.call('PEXPIRE', names[1], args[2])
  end
  return 1
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

-- KEYS: version, log, pending. ARGV: known version, most hashes to be read. What changed since, at one moment.
-- Returns msgpack { version, { hash name, ... }, { { list of names, its length }, ... }, { {field, text, ...}, ... } };
-- the last is nil when there are too many to be read at once; only { version } when the log does not lead from the
-- known version to the present one; { '' } while a change is still being written.
local function since(names, args)
  if redis.call('EXISTS', names[3]) == 1 then
    return cmsgpack.pack({ '' })
  end
  local version = redis.call('GET', names[1]) or '0'
  local known = args[1]
  local seen, changed, lists = {}, {}, {}
  if known ~= version then
    for _, entry in ipairs(redis.call('XRANGE', names[2], '(' .. known .. '-0', '+')) do
      local fields = entry[2]
      if fields[1] ~= 'prev' or fields[2] ~= known then
        return cmsgpack.pack({ version })
      end
      known = string.match(entry[1], '^%d+')
      if fields[5] == 'names' then
        lists[#lists + 1] = { fields[6], tonumber(fields[8]) }
      end
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
  if #lists > 0 or #changed > tonumber(args[2]) then
    return cmsgpack.pack({ version, changed, lists })
  end
  return cmsgpack.pack({ version, changed, lists, read(changed) })
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
redis.register_function('model_stage', stage)
redis.register_function('model_begin', begin)
-- what has begun must be finished, even when memory is short
redis.register_function{ function_name = 'model_apply', callback = apply, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'model_version', callback = version, flags = { 'no-writes' } }
redis.register_function{ function_name = 'model_hashes', callback = hashes, flags = { 'no-writes' } }
redis.register_function{ function_name = 'model_members', callback = members, flags = { 'no-writes' } }
redis.register_function{ function_name = 'model_since', callback = since, flags = { 'no-writes' } }
redis.register_function('model_hold', hold)
redis.register_function('model_release', release)
redis.register_function('model_move', move)
