-- What the relay runs inside Redis, each call atomic there. Loaded as a library whose name has a hash of this text;
-- where Redis has no functions (before 7.0), the same text runs as a script.
--
-- KEYS, of one channel and in one slot: its figures (hash: SKU -> units:version), its changes (stream), its state (hash).
-- A SKU that the figures do not have was never there to be sold: 0 units.

-- ARGV: engine, writes, version, as_of_us, durable_at_us, changes kept, lines, and the same figures as an array of
-- MessagePack, SKU and units:version of each: that is read faster than as many arguments.
-- Only who knows of every write so far may write: so a version never goes back, nothing is left out between two writes, and
-- a call that arrives late, when its sender has given it up, changes nothing but the count of those refused.
local function publish(keys, args)
  local figures, changes, state = keys[1], keys[2], keys[3]
  local was = redis.call('HMGET', state, 'engine', 'writes', 'figures', 'version')
  local writes = was[2] or '0'
  if was[1] and was[1] ~= args[1] then
    return {'ENGINE', was[1]}
  end
  local there = redis.call('HLEN', figures)
  if tonumber(was[3] or 0) ~= there then -- somebody took figures away, or put some there: all are written anew
    redis.call('HINCRBY', state, 'writes', 1)
    redis.call('HINCRBY', state, 'refused', 1)
    redis.call('HSET', state, 'version', '0', 'figures', there)
    return {'AT', tostring(writes + 1)}
  end
  if writes ~= args[2] then
    redis.call('HINCRBY', state, 'refused', 1)
    return {'AT', writes}
  end
  local texts = cmsgpack.unpack(args[8])
  local count = #texts / 2
  for first = 1, #texts, 4000 do
    redis.call('HSET', figures, unpack(texts, first, math.min(first + 3999, #texts)))
  end
  if count > 0 then
    redis.call('XADD', changes, 'MAXLEN', '~', args[6], '*', 'version', args[3], 'as_of_us', args[4], 'figures', args[7])
    redis.call('HINCRBY', state, 'published', count)
    local left_out = args[3] - (was[4] or 0) - 1 -- commits between, which are told with this one
    if left_out > 0 and (was[4] or '0') ~= '0' and args[4] ~= '0' then
      redis.call('HINCRBY', state, 'coalesced', string.format('%.0f', left_out))
    end
    there = redis.call('HLEN', figures)
  end
  redis.call('HSET', state, 'engine', args[1], 'version', args[3], 'figures', there)
  if args[4] ~= '0' then -- else a piece of a long pass, as of which nothing is complete
    redis.call('HSET', state, 'as_of_us', args[4], 'durable_at_us', args[5])
  end
  return {'OK', tostring(redis.call('HINCRBY', state, 'writes', 1))}
end

-- ARGV: engine. The channel belongs to this engine from now on, and begins with nothing.
local function begin(keys, args)
  redis.call('DEL', keys[1])
  redis.call('HSET', keys[3], 'engine', args[1], 'version', '0', 'figures', '0')
  return {'OK', tostring(redis.call('HINCRBY', keys[3], 'writes', 1))}
end
