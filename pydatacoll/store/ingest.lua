#!lua name=pydatacoll_ingest

-- The write path. One call stores one batch of one partition: latest hash, history lists, data stream.
-- Scripts do not roll back, so everything that can be refused is refused before the first write.

local function sum_of(entries)
  local samples = 0
  for e = 1, #entries do
    local fields = entries[e][2]
    for f = 1, #fields, 2 do
      if fields[f] == 'n' then
        samples = samples + tonumber(fields[f + 1])
      end
    end
  end
  return samples
end

-- Remove the given oldest entries of a stream, counting per group the samples it had not acknowledged.
-- Returns { group, samples, ... }
local function remove_counted(stream, dropped, entries)
  local final = entries[#entries][1]
  local report = {}
  local added = 0
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'entries-added' then
      added = info[i + 1]
    end
  end
  for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = {}
    for i = 1, #row, 2 do
      group[row[i]] = row[i + 1]
    end
    local unread = redis.call('XRANGE', stream, '(' .. group['last-delivered-id'], final)
    local lost = sum_of(unread)
    local pending = redis.call('XPENDING', stream, group['name'], '-', final, 10000)
    for p = 1, #pending do
      lost = lost + sum_of(redis.call('XRANGE', stream, pending[p][1], pending[p][1]))
      redis.call('XACK', stream, group['name'], pending[p][1])
    end
    if #unread > 0 then
      local read = added - redis.call('XLEN', stream) + #entries
      redis.call('XGROUP', 'SETID', stream, group['name'], final, 'ENTRIESREAD', read)
    end
    if lost > 0 then
      redis.call('HINCRBY', dropped, group['name'], lost)
      table.insert(report, group['name'])
      table.insert(report, lost)
    end
  end
  local keep = redis.call('XRANGE', stream, '(' .. final, '+', 'COUNT', 1)
  if #keep > 0 then
    redis.call('XTRIM', stream, 'MINID', '=', keep[1][1])
  else
    redis.call('XTRIM', stream, 'MAXLEN', '=', 0)
  end
  return report
end

-- Put a sample into a history list where its time belongs, which is near the end.
local function insert(list, text, length)
  local time = tonumber(string.match(text, '^[^,]*'))
  local size = redis.call('LLEN', list)
  local newer -- the oldest sample that is newer than this one
  for last = size - 1, 0, -32 do
    local found = redis.call('LRANGE', list, math.max(0, last - 31), last)
    for i = #found, 1, -1 do
      if tonumber(string.match(found[i], '^[^,]*')) <= time then
        if newer then
          redis.call('LINSERT', list, 'BEFORE', newer, text)
        else
          redis.call('RPUSH', list, text)
        end
        return size + 1
      end
      newer = found[i]
    end
  end
  if size >= length and size > 0 then
    return size -- older than all that is kept
  end
  redis.call('LPUSH', list, text)
  return size + 1
end

-- KEYS[1] the partition's stream (its hash tag places the call)
-- ARGV[1] prefix part: the hash tag, "{p3}"
-- ARGV[2] writer id; ARGV[3] sequence number of the batch, growing
-- ARGV[4] owner to check against the lease, or "" for writers that need none (plugins). A lease that ran out is
--   taken again, for ARGV[9] milliseconds, when nobody else has held it since: after the store was away for long,
--   what was kept meanwhile is still good
-- ARGV[5] most entries the stream may hold; what is removed for that is counted in HS:DROPPED
-- ARGV[6] number of samples
-- ARGV[7] the stream's payload, opaque here
-- ARGV[8] msgpack: { { device, { field, text, ... }, history length or { lengths }, { older texts }, late }, ... };
--   "older texts" are columns like the texts, oldest first, of the same fields: one RPUSH takes all of a field;
--   "late": all of these are older than what the latest hash holds, which stays as it is; in the lists they take the
--   places that their times give them
-- Reply: { status, listeners }; status 1 stored, 0 repeated batch ignored, -1 not the owner
local function ingest(names, argv)
  local tag = argv[1]
  local writer = 'WRITER:' .. tag .. ':' .. argv[2]
  if argv[4] ~= '' then
    local owner = redis.call('GET', 'LEASE:' .. tag)
    if not owner then
      local holder = redis.call('GET', 'HOLDER:' .. tag)
      if holder and holder ~= argv[4] then
        return { -1, 0 }
      end
      redis.call('SET', 'LEASE:' .. tag, argv[4], 'PX', argv[9])
    elseif owner ~= argv[4] then
      return { -1, 0 }
    end
  end
  local last = redis.call('GET', writer)
  if last and tonumber(last) >= tonumber(argv[3]) then
    return { 0, 0 }
  end
  local devices = cmsgpack.unpack(argv[8])
  redis.call('SET', writer, argv[3], 'EX', 86400)
  local present = {}
  for d = 1, #devices do
    local device = devices[d][1]
    present[d] = device
    local flat = devices[d][2]
    local lengths = devices[d][3]
    local older = devices[d][4]
    local count = #flat
    if not devices[d][5] then
      local latest = 'HS:LATEST:' .. tag .. ':' .. device
      for first = 1, count, 2000 do
        redis.call('HSET', latest, unpack(flat, first, math.min(first + 1999, count)))
      end
    end
    local prefix = 'LST:DATA:' .. tag .. ':' .. device .. ':'
    local fixed = type(lengths) == 'number' and lengths or nil
    if fixed ~= 0 then
      for i = 1, count, 2 do
        local length = fixed or lengths[(i + 1) / 2]
        if length > 0 then
          local list = prefix .. flat[i]
          local size
          if devices[d][5] then
            size = insert(list, flat[i + 1], length)
          elseif #older == 0 then
            size = redis.call('RPUSH', list, flat[i + 1])
          elseif #older == 1 then
            size = redis.call('RPUSH', list, older[1][(i + 1) / 2], flat[i + 1])
          else
            local texts = {}
            for c = 1, #older do
              texts[c] = older[c][(i + 1) / 2]
            end
            texts[#texts + 1] = flat[i + 1]
            size = redis.call('RPUSH', list, unpack(texts))
          end
          if size > length + 16 then
            redis.call('LTRIM', list, -length, -1)
          end
        end
      end
    end
  end
  if #present > 0 then
    redis.call('SADD', 'SET:DATA_DEVICE:' .. tag, unpack(present))
  end
  local listeners = redis.call('PUBSUB', 'NUMPAT')
  if listeners == 0 and #redis.call('PUBSUB', 'CHANNELS', 'CHANNEL:DEVICE_DATA:*') > 0 then
    for d = 1, #present do
      listeners = listeners + #redis.call('PUBSUB', 'CHANNELS', 'CHANNEL:DEVICE_DATA:' .. present[d] .. ':*')
    end
  end
  redis.call('XADD', names[1], '*', 'b', argv[7], 'n', argv[6])
  redis.call('INCRBY', 'COUNT:' .. tag, argv[6])
  if redis.call('XLEN', names[1]) > tonumber(argv[5]) then
    remove_counted(names[1], 'HS:DROPPED:' .. tag, redis.call('XRANGE', names[1], '-', '+', 'COUNT', 20))
  end
  return { 1, listeners }
end

-- Trim a stream up to an id, a bounded number of entries a call.
-- KEYS[1] stream, KEYS[2] hash of dropped samples; ARGV[1] first id to keep; ARGV[2] entries at most
-- Reply: { entries removed, { group, samples dropped, ... } }
local function trim(names, argv)
  local entries = redis.call('XRANGE', names[1], '-', '(' .. argv[1], 'COUNT', argv[2])
  if #entries == 0 then
    return { 0, {} }
  end
  return { #entries, remove_counted(names[1], names[2], entries) }
end

redis.register_function('ingest', ingest)
redis.register_function('trim_stream', trim)
