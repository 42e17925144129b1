-- Redis as a peer: nearest for some orders. KEYS: of each order its own key, then a key for each of its SKUs, a hash of
-- node -> units. ARGV: of each order how many SKUs, its nodes in rank order (a character each), then units for each SKU.
-- Returns what each order got, as it is stored under its key: key, node and units for each part.
local function nearest(skus, from, wanted, rank)
  local have, ranked = {}, {}
  for i = 1, skus do
    have[i] = {}
    local all = redis.call('HGETALL', KEYS[from + i])
    for j = 1, #all, 2 do have[i][all[j]] = tonumber(all[j + 1]) end
  end
  for node in rank:gmatch('.') do
    local any = 0
    for i = 1, skus do any = any + (have[i][node] or 0) end
    if any > 0 then ranked[#ranked + 1] = node end
  end
  for j = 1, #ranked do
    for k = j + 1, #ranked do
      local all = true
      for i = 1, skus do
        if (have[i][ranked[j]] or 0) + (have[i][ranked[k]] or 0) < wanted[i] then all = false break end
      end
      if all then return {ranked[j], ranked[k]}, have end
    end
  end
  local missing, chosen = {unpack(wanted)}, {}
  while true do
    local most, best = 0, nil
    for _, node in ipairs(ranked) do
      local units = 0
      if not chosen[node] then
        for i = 1, skus do units = units + math.min(missing[i], have[i][node] or 0) end
      end
      if units > most then most, best = units, node end
    end
    if most == 0 then break end
    chosen[best] = true
    for i = 1, skus do missing[i] = missing[i] - math.min(missing[i], have[i][best] or 0) end
  end
  local nodes = {}
  for _, node in ipairs(ranked) do if chosen[node] then nodes[#nodes + 1] = node end end
  return nodes, have
end

-- The first node that gives all, for which only the units that are looked at are read; nil if none does.
local function one(skus, from, wanted, rank)
  for node in rank:gmatch('.') do
    local all = true
    for i = 1, skus do
      if tonumber(redis.call('HGET', KEYS[from + i], node) or 0) < wanted[i] then all = false break end
    end
    if all then return node end
  end
end

local function place(skus, from, wanted, rank)
  local parts, node = {}, one(skus, from, wanted, rank)
  if node then
    for i = 1, skus do
      redis.call('HINCRBY', KEYS[from + i], node, -wanted[i])
      parts[i] = KEYS[from + i] .. ' ' .. node .. ' ' .. wanted[i]
    end
    return parts
  end
  local nodes, have = nearest(skus, from, wanted, rank)
  for i = 1, skus do
    local remaining = wanted[i]
    for _, node in ipairs(nodes) do
      local taken = math.min(remaining, have[i][node] or 0)
      if taken > 0 then
        redis.call('HINCRBY', KEYS[from + i], node, -taken)
        remaining = remaining - taken
        parts[#parts + 1] = KEYS[from + i] .. ' ' .. node .. ' ' .. taken
      end
    end
  end
  return parts
end

local answers, key, arg = {}, 1, 1
while key <= #KEYS do
  local skus, rank, wanted = tonumber(ARGV[arg]), ARGV[arg + 1], {}
  local answer = redis.call('GET', KEYS[key])
  if not answer then
    for i = 1, skus do wanted[i] = tonumber(ARGV[arg + 1 + i]) end
    answer = table.concat(place(skus, key, wanted, rank), ' ')
    redis.call('SET', KEYS[key], answer)
  end
  answers[#answers + 1] = answer
  key, arg = key + 1 + skus, arg + 2 + skus
end
return answers
