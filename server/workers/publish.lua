-- What the relay runs inside Redis, each call atomic there. Loaded as a library whose name has a hash of this text;
-- where Redis has no functions (before 7.0), the same text runs as scripts.
--
-- KEYS, of one channel and in one slot: its figures (hash: SKU -> units:version), its changes (stream), its state (hash).
-- A SKU that the figures do not have was never there to be sold: 0 units.

-- Where a channel is: its engine, how many writes there were, and whether this was one. Who looks watches figures and
-- state from before on, and writes in a transaction that `commit` ends (redis_link.py). So only who knows of every write
-- so far may write: a version never goes back, nothing is left out between two writes, and what arrives late, when its
-- sender has given it up, changes nothing.
local function look(keys, args)
  local was = redis.call('HMGET', keys[3], 'engine', 'writes', 'figures')
  local there = redis.call('HLEN', keys[1])
  local writes, has_written = was[2] or '0', '0'
  if tonumber(was[3] or 0) ~= there then -- somebody took figures away, or put some there: all are written anew
    writes = tostring(redis.call('HINCRBY', keys[3], 'writes', 1))
    redis.call('HSET', keys[3], 'version', '0', 'figures', there)
    has_written = '1'
  end
  return {was[1] or '', writes, has_written}
end

-- ARGV: engine, version, as_of_us, durable_at_us, how many figures were just written, and writes that were refused.
local function commit(keys, args)
  local state = keys[3]
  local was = redis.call('HGET', state, 'version') or '0'
  local left_out = args[2] - was - 1 -- commits between, which are told with this one
  if args[5] ~= '0' then
    redis.call('HINCRBY', state, 'published', args[5])
    if left_out > 0 and was ~= '0' and args[3] ~= '0' then
      redis.call('HINCRBY', state, 'coalesced', string.format('%.0f', left_out))
    end
  end
  redis.call('HINCRBY', state, 'refused', args[6])
  redis.call('HSET', state, 'engine', args[1], 'version', args[2], 'figures', redis.call('HLEN', keys[1]))
  if args[3] ~= '0' then -- else a page of a long pass, as of which nothing is complete
    redis.call('HSET', state, 'as_of_us', args[3], 'durable_at_us', args[4])
  end
  return tostring(redis.call('HINCRBY', state, 'writes', 1))
end

-- ARGV: engine. The channel belongs to this engine from now on, and begins with nothing.
local function begin(keys, args)
  redis.call('DEL', keys[1])
  redis.call('HSET', keys[3], 'engine', args[1], 'version', '0', 'figures', '0')
  return tostring(redis.call('HINCRBY', keys[3], 'writes', 1))
end
