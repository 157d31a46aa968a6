#!lua name=pydatacoll_plugins

-- Plugins on the data stream of a partition. What a batch leads to is written in one call together with its
-- acknowledgement, so that it happens once, whatever process dies.
--
-- How far a plugin is, is the last-delivered-id of its consumer group: what stands before it has been handled. One
-- runner at a time has the lease of a partition; so nothing is ever pending, and nothing needs to be claimed.
--
-- The hash of a plugin's place: seq, number of the last commit; entry and offset, an entry of which a part has been
-- handled; done, dead, retries: samples handled, samples put aside, batches tried again; base: samples of the stream
-- that were before the plugin's time.
--
-- alarm_apply(tag, conditions) stands in alarms.lua, a part of this library that comes before this one.

local function pairs_of(flat)
  local map = {}
  for i = 1, #flat, 2 do
    map[flat[i]] = flat[i + 1]
  end
  return map
end

local function group_of(stream, name)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then
    return nil -- there is no stream
  end
  for _, row in ipairs(groups) do
    local group = pairs_of(row)
    if group['name'] == name then
      return group
    end
  end
end

-- Whether the runner has the lease. It may have run out, as long as nobody else has held it since.
local function ours(lease, holder, runner, milliseconds)
  local owner = redis.call('GET', lease)
  if owner then
    return owner == runner
  end
  if redis.call('GET', holder) ~= runner then
    return false
  end
  redis.call('SET', lease, runner, 'PX', milliseconds)
  return true
end

local function samples_after(stream, id)
  local samples = 0
  repeat
    local entries = redis.call('XRANGE', stream, '(' .. id, '+', 'COUNT', 100)
    for e = 1, #entries do
      samples = samples + tonumber(pairs_of(entries[e][2])['n'] or 0)
    end
    if #entries > 0 then
      id = entries[#entries][1]
    end
  until #entries < 100
  return samples
end

local function id_before(id)
  local ms, n = string.match(id, '^(%d+)-(%d+)$')
  if n ~= '0' then
    return string.format('%s-%.0f', ms, tonumber(n) - 1)
  end
  return string.format('%.0f-%s', tonumber(ms) - 1, '9007199254740991')
end

-- A group that was read in the usual way before: what its consumers left unacknowledged comes first.
local function take_over(stream, group)
  local pending = redis.call('XPENDING', stream, group['name'])
  for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group['name'])) do
    redis.call('XGROUP', 'DELCONSUMER', stream, group['name'], pairs_of(row)['name'])
  end
  if pending[1] > 0 then
    redis.call('XGROUP', 'SETID', stream, group['name'], id_before(pending[2]))
  end
end

-- The place of a group: one that is not there begins with what "from" says, 0 or $.
-- Reply: the last id handled
local function find_place(stream, place, dropped, count, name, from)
  local group = group_of(stream, name)
  if not group then
    redis.call('XGROUP', 'CREATE', stream, name, from, 'MKSTREAM')
    local read = 0
    if from == '$' then
      read = pairs_of(redis.call('XINFO', 'STREAM', stream))['entries-added']
    end
    redis.call('XGROUP', 'SETID', stream, name, group_of(stream, name)['last-delivered-id'], 'ENTRIESREAD', read)
    redis.call('HDEL', place, 'base')
  elseif group['consumers'] > 0 then
    take_over(stream, group)
  end
  local cursor = group_of(stream, name)['last-delivered-id']
  if redis.call('HEXISTS', place, 'seq') == 0 then
    -- numbers of commits and of derived batches never begin again, also when all this was deleted
    local now = redis.call('TIME')
    local number = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
    redis.call('HSET', place, 'seq', number, 'out', number, 'done', 0, 'dead', 0, 'retries', 0)
  end
  if redis.call('HEXISTS', place, 'base') == 0 then
    local accounted = tonumber(redis.call('HGET', dropped, name) or 0) + samples_after(stream, cursor)
    accounted = accounted + tonumber(redis.call('HGET', place, 'done')) + tonumber(redis.call('HGET', place, 'dead'))
    redis.call('HSET', place, 'base', string.format('%.0f', tonumber(redis.call('GET', count) or 0) - accounted))
  end
  return cursor
end

-- See to it that what comes from now on is kept for a plugin of which no runner was there yet.
-- KEYS stream, place, dropped, count; ARGV group
local function enrol(names, argv)
  if not group_of(names[1], argv[1]) then
    find_place(names[1], names[2], names[3], names[4], argv[1], '$')
  end
  return 1
end

-- Begin with a partition.
-- KEYS stream, lease, holder, place, state, outbox, dropped, count; ARGV group, runner, milliseconds of the lease,
-- 0 or $: where a new group begins
-- Reply: { 1, last id handled, place, state, outbox }, the last three as HGETALL gives them; { -1 } without the lease
local function open(names, argv)
  local place = names[4]
  if not ours(names[2], names[3], argv[2], argv[3]) then
    return { -1 }
  end
  local cursor = find_place(names[1], place, names[7], names[8], argv[1], argv[4])
  return {
    1,
    cursor,
    redis.call('HGETALL', place),
    redis.call('HGETALL', names[5]),
    redis.call('HGETALL', names[6]),
  }
end

local function each_chunk(list, step, act)
  for first = 1, #list, step do
    act(unpack(list, first, math.min(first + step - 1, #list)))
  end
end

-- Acknowledge a batch, with everything that follows from it.
-- KEYS stream, lease, holder, place, state, outbox, dropped, dead letters
-- ARGV group, runner, milliseconds of the lease, hash tag, number of the last commit, number of this one, last id
-- handled before, last id handled now, entries in between, samples of them that were counted as dropped, most dead
-- letters kept; then in msgpack: what changes of the place, state to set, state to delete, rows of the outbox to set,
-- rows of it that have been delivered (flat lists, but for the deleted ones), channels and messages, alarm
-- conditions, a dead letter
-- Reply: { 1 } done, { 0 } had been done before; { -1 } without the lease; { -2 } the group is gone;
-- { -3, id } the stream was trimmed: the last id handled or dropped is another one, nothing was done
local function commit(names, argv)
  local stream, place = names[1], names[4]
  if not ours(names[2], names[3], argv[2], argv[3]) then
    return { -1 }
  end
  local group = group_of(stream, argv[1])
  local seq = redis.call('HGET', place, 'seq')
  if not group or not seq then
    return { -2 }
  end
  if seq == argv[6] then
    return { 0 }
  end
  if seq ~= argv[5] then
    return { -1 }
  end
  local before, after = argv[7], argv[8]
  if group['last-delivered-id'] ~= before then
    return { -3, group['last-delivered-id'] }
  end
  local changed, set, deleted, out, delivered, messages, conditions, dead = unpack(cmsgpack.unpack(argv[12]), 1, 8)
  if #conditions > 0 then
    alarm_apply(argv[4], conditions)
  end
  if argv[10] ~= '0' then
    redis.call('HINCRBY', names[7], argv[1], -tonumber(argv[10]))
  end
  each_chunk(set, 2000, function(...) redis.call('HSET', names[5], ...) end)
  each_chunk(deleted, 2000, function(...) redis.call('HDEL', names[5], ...) end)
  each_chunk(delivered, 2000, function(...) redis.call('HDEL', names[6], ...) end)
  each_chunk(out, 2000, function(...) redis.call('HSET', names[6], ...) end)
  if #dead > 0 then
    redis.call('XADD', names[8], 'MAXLEN', '~', argv[11], '*', unpack(dead))
  end
  if before ~= after then
    local read = group['entries-read']
    if read then
      redis.call('XGROUP', 'SETID', stream, argv[1], after, 'ENTRIESREAD', read + tonumber(argv[9]))
    else
      redis.call('XGROUP', 'SETID', stream, argv[1], after)
    end
  end
  redis.call('HSET', place, 'seq', argv[6], unpack(changed))
  for i = 1, #messages, 2 do
    redis.call('PUBLISH', messages[i], messages[i + 1])
  end
  return { 1 }
end

-- Samples that a plugin has not handled; nil when that is not known.
local function waiting(place, name, count, dropped)
  local numbers = redis.call('HMGET', place, 'base', 'done', 'dead')
  if numbers[1] then
    local lost = tonumber(redis.call('HGET', dropped, name) or 0)
    local left = tonumber(redis.call('GET', count) or 0) - numbers[1] - numbers[2] - numbers[3] - lost
    return math.max(0, left)
  end
end

-- Let go of the place of a plugin that nobody runs. What it remembers and counted stays, and the number of its last
-- commit, see open.
-- KEYS stream, lease, holder, place, dropped, count; ARGV group
-- Reply: { 1, samples and entries that were held for it }; { -1, 0, 0 } when a runner has the lease
local function forget(names, argv)
  if redis.call('GET', names[2]) then
    return { -1, 0, 0 }
  end
  local group = group_of(names[1], argv[1])
  local samples = group and waiting(names[4], argv[1], names[6], names[5]) or 0
  if group then
    redis.call('XGROUP', 'DESTROY', names[1], argv[1])
  end
  redis.call('DEL', names[3])
  redis.call('HDEL', names[4], 'base', 'entry', 'offset')
  redis.call('HDEL', names[5], argv[1])
  return { 1, samples, group and group['lag'] or 0 }
end

-- How far all groups of a partition are behind.
-- KEYS stream, dropped, count; ARGV hash tag
-- Reply: a row for each group: name, entries and samples to be handled (-1: not known), entries pending, id of the
-- oldest of them or '', samples dropped, then done, dead and retries of the place
local function lags(names, argv)
  local rows = {}
  local groups = redis.pcall('XINFO', 'GROUPS', names[1])
  if groups.err then
    return rows
  end
  for _, row in ipairs(groups) do
    local group = pairs_of(row)
    local name = group['name']
    local dropped = tonumber(redis.call('HGET', names[2], name) or 0)
    local key = 'HS:PLUGIN:' .. argv[1] .. ':' .. name
    local place = redis.call('HMGET', key, 'done', 'dead', 'retries')
    local oldest = redis.call('XRANGE', names[1], '(' .. group['last-delivered-id'], '+', 'COUNT', 1)
    local id = oldest[1] and oldest[1][1] or ''
    if group['pending'] > 0 then
      id = redis.call('XPENDING', names[1], name)[2]
    end
    table.insert(rows, {
      name,
      group['lag'] or -1,
      waiting(key, name, names[3], names[2]) or -1,
      group['pending'],
      id,
      dropped,
      tonumber(place[1] or 0),
      tonumber(place[2] or 0),
      tonumber(place[3] or 0),
    })
  end
  return rows
end

redis.register_function('plugin_enrol', enrol)
redis.register_function('plugin_open', open)
redis.register_function('plugin_commit', commit)
redis.register_function('plugin_forget', forget)
redis.register_function({ function_name = 'plugin_lags', callback = lags, flags = { 'no-writes' } })
