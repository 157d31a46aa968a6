#!lua name=pydatacoll_plugins

-- The life of alarms (ISA-18.2). Whatever happens to an alarm happens here, in one step: its state, its transition
-- in the alarm stream, and the message to who listens.
--
-- HS:ALARM:{pN} has the alarms that are not normal, as msgpack; what is text there is text of others, put together
-- and never read. ZSET:SHELVED:{pN} has those that are shelved, by the time when that ends (milliseconds).

local ALARMS_KEPT = 20000
local ALARMS_TRIMMED = 100 -- at once, so that it is done seldom
local ALARM_PLACE = 'alarms' -- in the state of a plugin that follows the stream: how far it is

local function alarm_keys(tag)
  return 'HS:ALARM:' .. tag, 'ZSET:SHELVED:' .. tag, 'STREAM:ALARM:' .. tag
end

-- An alarm that is not normal. What another program has put there is taken for none.
local function alarm_load(hash, id)
  local stored = redis.call('HGET', hash, id)
  if stored then
    local readable, alarm = pcall(cmsgpack.unpack, stored)
    if readable and type(alarm) == 'table' and alarm.state then
      return alarm
    end
  end
end

local function alarm_save(hash, id, alarm)
  if alarm.state == 'normal' then
    redis.call('HDEL', hash, id)
  else
    redis.call('HSET', hash, id, cmsgpack.pack(alarm))
  end
end

-- Milliseconds by the clock of the store.
local function alarm_now()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- How many of these entries of a stream, which are in order, come after an id.
local function alarm_after(entries, count, id)
  local ms, number = string.match(id, '^(%d+)-(%d+)$')
  ms, number = tonumber(ms or 0), tonumber(number or 0)
  local low, high = 0, count -- the first ones up to low do not, those beyond high do
  while low < high do
    local middle = math.ceil((low + high) / 2)
    local one_ms, one_number = string.match(entries[middle][1], '^(%d+)-(%d+)$')
    one_ms, one_number = tonumber(one_ms), tonumber(one_number)
    if one_ms > ms or (one_ms == ms and one_number > number) then
      high = middle - 1
    else
      low = middle
    end
  end
  return count - low
end

-- Forget the oldest transitions when there are too many. Those that a plugin has not read yet are lost to it, and
-- counted.
local function alarm_trim(tag, stream)
  local surplus = redis.call('XLEN', stream) - ALARMS_KEPT
  if surplus < ALARMS_TRIMMED then
    return
  end
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', math.min(surplus, 5 * ALARMS_TRIMMED) + 1)
  local groups = redis.pcall('XINFO', 'GROUPS', 'STREAM:DATA:' .. tag)
  for _, group in ipairs(groups.err and {} or groups) do
    local name
    for i = 1, #group, 2 do
      name = group[i] == 'name' and group[i + 1] or name
    end
    local place = redis.call('HGET', 'HS:PLUGIN_STATE:' .. tag .. ':' .. name, ALARM_PLACE)
    local lost = place and alarm_after(oldest, #oldest - 1, place) or 0
    if lost > 0 then
      redis.call('HINCRBY', 'HS:ALARM_LOST:' .. tag, name, lost)
    end
  end
  redis.call('XTRIM', stream, 'MINID', '=', oldest[#oldest][1])
end

-- Note what happened to an alarm. Who listens is told, unless the alarm is shelved and stays so.
-- what: event, time, and of what a person did user, note, until
local function alarm_note(tag, id, alarm, what)
  local _, _, stream = alarm_keys(tag)
  local transition = {
    alarm = id,
    event = what.event,
    state = alarm.state,
    time = what.time,
    value = alarm.value,
    quality = alarm.quality,
    limit = alarm.limit,
    priority = alarm.priority,
    message = alarm.message,
    user = what.user,
    note = what.note,
    ['until'] = what['until'],
  }
  redis.call('XADD', stream, '*', 't', cmsgpack.pack(transition))
  alarm_trim(tag, stream)
  if alarm.state == 'shelved' and what.event ~= 'shelve' then
    return
  end
  local point, kind = string.match(id, '^(.*):([^:]*)$')
  local device, term, item = string.match(point, '^([^:]*):([^:]*):([^:]*)$')
  local text = cjson.encode
  redis.call('PUBLISH', 'CHANNEL:WARNING:' .. point, table.concat({
    '{"device_id":', text(device), ',"term_id":', text(term), ',"item_id":', text(item),
    ',"time":', text(what.time), ',"value":', alarm.value, ',"quality":', alarm.quality,
    ',"warn_msg":', text(alarm.message), ',"state":', text(alarm.state), ',"event":', text(what.event),
    ',"kind":', text(kind), ',"priority":', text(alarm.priority), ',"limit":', alarm.limit,
    ',"user":', text(what.user or ''), ',"note":', text(what.note or ''), '}',
  }))
end

-- End the shelving of an alarm: it rings again when its condition holds (ISA-18.2, 7.9).
local function alarm_bring_back(tag, id, alarm, what)
  local hash, shelved = alarm_keys(tag)
  redis.call('ZREM', shelved, id)
  alarm.state = alarm.active and 'active_unacknowledged' or 'normal'
  alarm.user, alarm.noted, alarm.note, alarm['until'] = '', '', '', ''
  alarm_save(hash, id, alarm)
  alarm_note(tag, id, alarm, what)
end

-- Bring back what was shelved until now; at most 100 at once.
local function alarm_bring_back_due(tag)
  local hash, shelved = alarm_keys(tag)
  local due = redis.call('ZRANGEBYSCORE', shelved, '-inf', alarm_now(), 'LIMIT', 0, 100)
  for i = 1, #due do
    local alarm = alarm_load(hash, due[i])
    if alarm then
      alarm_bring_back(tag, due[i], alarm, { event = 'unshelve', time = alarm['until'] })
    else
      redis.call('ZREM', shelved, due[i])
    end
  end
  return #due
end

local alarm_changes = {}

function alarm_changes.raise(alarm, time)
  if alarm.active then
    return false
  end
  alarm.active = true
  alarm.raised = time
  if alarm.state ~= 'shelved' then
    alarm.state = 'active_unacknowledged'
    alarm.user, alarm.noted, alarm.note = '', '', ''
  end
  return true
end

function alarm_changes.clear(alarm)
  if not alarm.active then
    return false
  end
  alarm.active = false
  if alarm.state == 'active_unacknowledged' then
    alarm.state = 'returned_unacknowledged'
  elseif alarm.state == 'active_acknowledged' then
    alarm.state = 'normal'
  end
  return true
end

function alarm_changes.remove(alarm)
  if alarm.state == 'normal' then
    return false
  end
  alarm.active = false
  alarm.state = 'normal'
  return true
end

-- Take changes of conditions, as pydatacoll.model.alarm.Condition has them. What is said twice counts once.
local function alarm_apply(tag, conditions)
  local hash, shelved = alarm_keys(tag)
  alarm_bring_back_due(tag)
  for c = 1, #conditions do
    local id, change, time, value, quality, limit, priority, message = unpack(conditions[c], 1, 8)
    local alarm = alarm_load(hash, id) or { state = 'normal', active = false, message = '', priority = 'medium' }
    if alarm_changes[change](alarm, time) then
      alarm.time = time
      if change == 'remove' then
        redis.call('ZREM', shelved, id)
      else
        alarm.value, alarm.quality, alarm.limit = value, quality, limit
        alarm.priority, alarm.message = priority, message
      end
      alarm_save(hash, id, alarm)
      alarm_note(tag, id, alarm, { event = change, time = time })
    end
  end
end

-- The points are gone: so are their alarms.
-- KEYS[1] HS:ALARM:{pN}; ARGV[1] hash tag; ARGV[2] time; ARGV[3] points (msgpack)
-- Reply: alarms that were not normal
local function drop(names, argv)
  local gone = 0
  if redis.call('HLEN', names[1]) == 0 then
    return 0
  end
  for _, point in ipairs(cmsgpack.unpack(argv[3])) do
    for _, kind in ipairs({ 'high_high', 'high', 'low', 'low_low', 'rule', 'quality', 'stale' }) do
      local id = point .. ':' .. kind
      local alarm = alarm_load(names[1], id)
      if alarm then
        alarm_apply(argv[1], { { id, 'remove', argv[2] } })
        gone = gone + 1
      end
    end
  end
  return gone
end

-- Take changes of conditions without a batch.
-- KEYS[1] HS:ALARM:{pN}; ARGV[1] hash tag; ARGV[2] conditions (msgpack)
local function apply_now(_, argv)
  alarm_apply(argv[1], cmsgpack.unpack(argv[2]))
  return 1
end

-- A person acknowledges an alarm.
-- KEYS[1] HS:ALARM:{pN}; ARGV: hash tag, id, time, user, note
-- Reply: { 1, new state }; { 0, state } when there is nothing to acknowledge
local function ack(names, argv)
  local tag, id = argv[1], argv[2]
  alarm_bring_back_due(tag)
  local alarm = alarm_load(names[1], id)
  if not alarm then
    return { 0, 'normal' }
  elseif alarm.state == 'active_unacknowledged' then
    alarm.state = 'active_acknowledged'
  elseif alarm.state == 'returned_unacknowledged' then
    alarm.state = 'normal'
  else
    return { 0, alarm.state }
  end
  alarm.noted, alarm.user, alarm.note = argv[3], argv[4], argv[5]
  alarm_save(names[1], id, alarm)
  alarm_note(tag, id, alarm, { event = 'ack', time = argv[3], user = argv[4], note = argv[5] })
  return { 1, alarm.state }
end

-- A person shelves an alarm, also one that is normal or shelved already.
-- KEYS[1] HS:ALARM:{pN}; ARGV: hash tag, id, time, user, note, until when (text), for how many milliseconds, limit,
-- priority and message of an alarm that is normal
-- Reply: { 1, 'shelved' }
local function shelve(names, argv)
  local tag, id = argv[1], argv[2]
  local _, shelved = alarm_keys(tag)
  alarm_bring_back_due(tag)
  local alarm = alarm_load(names[1], id)
    or {
      active = false, raised = '', time = '', value = 'null', quality = '"good"',
      limit = argv[8], priority = argv[9], message = argv[10],
    }
  alarm.state = 'shelved'
  alarm.noted, alarm.user, alarm.note, alarm['until'] = argv[3], argv[4], argv[5], argv[6]
  redis.call('ZADD', shelved, alarm_now() + argv[7], id)
  alarm_save(names[1], id, alarm)
  alarm_note(tag, id, alarm, {
    event = 'shelve', time = argv[3], user = argv[4], note = argv[5], ['until'] = argv[6],
  })
  return { 1, alarm.state }
end

-- A person ends the shelving of an alarm.
-- KEYS[1] HS:ALARM:{pN}; ARGV: hash tag, id, time, user, note
-- Reply: { 1, new state }; { 0, state } when it is not shelved
local function unshelve(names, argv)
  local tag, id = argv[1], argv[2]
  alarm_bring_back_due(tag)
  local alarm = alarm_load(names[1], id)
  if not alarm or alarm.state ~= 'shelved' then
    return { 0, alarm and alarm.state or 'normal' }
  end
  alarm_bring_back(tag, id, alarm, { event = 'unshelve', time = argv[3], user = argv[4], note = argv[5] })
  return { 1, alarm.state }
end

-- Shelving that has come to its end.
-- KEYS[1] ZSET:SHELVED:{pN}; ARGV[1] hash tag
-- Reply: alarms brought back, at most 100
local function bring_back_due(_, argv)
  return alarm_bring_back_due(argv[1])
end

-- How many alarms are not normal, and what plugins that follow the stream have lost of it.
-- KEYS[1] HS:ALARM:{pN}; ARGV[1] hash tag
-- Reply: { state, priority, count, ... }, { plugin, count, ... }
local function overview(names, argv)
  local counts, kinds = {}, {}
  for _, state in ipairs({ 'active_unacknowledged', 'active_acknowledged', 'returned_unacknowledged', 'shelved' }) do
    for _, priority in ipairs({ 'low', 'medium', 'high', 'critical' }) do
      table.insert(kinds, { state, priority })
      counts[state .. priority] = 0
    end
  end
  local stored = redis.call('HVALS', names[1])
  for i = 1, #stored do
    local readable, alarm = pcall(cmsgpack.unpack, stored[i])
    if readable and type(alarm) == 'table' then
      local kind = tostring(alarm.state) .. tostring(alarm.priority)
      counts[kind] = counts[kind] and counts[kind] + 1
    end
  end
  local reply = {}
  for _, kind in ipairs(kinds) do
    local count = counts[kind[1] .. kind[2]]
    if count > 0 then
      table.insert(reply, kind[1])
      table.insert(reply, kind[2])
      table.insert(reply, count)
    end
  end
  return { reply, redis.call('HGETALL', 'HS:ALARM_LOST:' .. argv[1]) }
end

redis.register_function({ function_name = 'alarm_overview', callback = overview, flags = { 'no-writes' } })
redis.register_function('alarm_apply', apply_now)
redis.register_function('alarm_drop', drop)
redis.register_function('alarm_ack', ack)
redis.register_function('alarm_shelve', shelve)
redis.register_function('alarm_unshelve', unshelve)
redis.register_function('alarm_due', bring_back_due)
