#!lua name=pydatacoll_layout

-- KEYS: layout, lock. ARGV: owner of the lock, the layout as it was ('' for none), the new one. Notes that the data
-- is in another layout now; 0 when the lock was lost or somebody else has done so.
local function stamp(names, args)
  if redis.call('GET', names[2]) ~= args[1] or (redis.call('GET', names[1]) or '') ~= args[2] then
    return 0
  end
  redis.call('SET', names[1], args[3])
  return 1
end

redis.register_function('layout_stamp', stamp)
