/**
 * Places and money. A place is a member of its slot's sorted set, scored by when its lease ends, so a place whose process died is free by
 * itself. Money that was set aside is found by the sorted set of all leases and charged whole when its lease ends: by the calls that come
 * after, a few each, and exactly by a call that meets the hold itself.
 */
export const holds: string = String.raw`
local leases = KEYS[1] .. ':leases'
local sweepsPerCall = 50

local function balanceOf(account)
  local known = redis.call('HMGET', key('money', account), 'spent', 'reserved')
  return tonumber(known[1] or 0), tonumber(known[2] or 0)
end

local function add(account, field, micros)
  local name = key('money', account)
  redis.call('HSET', name, field, whole(tonumber(redis.call('HGET', name, field) or 0) + micros))
end

local function fits(account, micros)
  if not account.limit then return true end
  local spent, reserved = balanceOf(account.key)
  return spent + reserved + micros <= account.limit
end

local function isTaken(slot)
  local name = key('slot', slot.key)
  redis.call('ZREMRANGEBYSCORE', name, '-inf', whole(now))
  return redis.call('ZCARD', name) >= slot.max
end

-- Writes when the lease ends wherever it counts. Money outlives its period and every hold on it; holds outlive money.
local function lease(hold, ends)
  hold.ends = ends
  redis.call('HSET', key('hold', hold.id), 'ends', whole(ends))
  redis.call('ZADD', leases, whole(ends), hold.id)
  local last = ends
  for _, account in ipairs(hold.accounts) do
    local over = math.max(account['until'], ends)
    keepUntil(key('money', account.key), over + kept)
    last = math.max(last, over)
  end
  for _, slot in ipairs(hold.placed and hold.slots or {}) do
    redis.call('ZADD', key('slot', slot.key), whole(ends), hold.id)
    keepUntil(key('slot', slot.key), ends)
  end
  keepUntil(key('hold', hold.id), last + 5 * kept)
  keepUntil(leases, last + 5 * kept)
  return last
end

local function open(asked, accounts, slots)
  local name = key('hold', asked.id)
  redis.call('HSET', name, 'micros', whole(asked.micros), 'accounts', accounts, 'slots', slots, 'since', whole(now),
    'placed', '1')
  if asked.perUnit then redis.call('HSET', name, 'perUnit', exact(asked.perUnit)) end
  if asked.perSecond then redis.call('HSET', name, 'perSecond', exact(asked.perSecond)) end
  local hold = { id = asked.id, accounts = cjson.decode(accounts), slots = cjson.decode(slots), placed = true }
  for _, account in ipairs(hold.accounts) do add(account.key, 'reserved', asked.micros) end
  lease(hold, now + asked.leaseMs)
end

local function load(id)
  local flat = redis.call('HGETALL', key('hold', id))
  if #flat == 0 then return nil end
  local hold = { id = id }
  for at = 1, #flat, 2 do hold[flat[at]] = flat[at + 1] end
  hold.accounts, hold.slots = cjson.decode(hold.accounts), cjson.decode(hold.slots)
  hold.micros, hold.ends, hold.since = tonumber(hold.micros), tonumber(hold.ends), tonumber(hold.since)
  hold.perUnit, hold.perSecond = tonumber(hold.perUnit), tonumber(hold.perSecond)
  hold.charged = tonumber(hold.charged)
  hold.placed = hold.placed == '1'
  return hold
end

local function free(hold)
  if not hold.placed then return end
  hold.placed = false
  redis.call('HSET', key('hold', hold.id), 'placed', '0')
  for _, slot in ipairs(hold.slots) do redis.call('ZREM', key('slot', slot.key), hold.id) end
end

local function forget(hold)
  redis.call('DEL', key('hold', hold.id))
  redis.call('ZREM', leases, hold.id)
  if hold.job and redis.call('GET', key('job', hold.job)) == hold.id then redis.call('DEL', key('job', hold.job)) end
end

-- As unitsCost of @keyway/core: rounded up to whole micro-USD, after what doubles add below a thousandth.
local function unitsCost(per, units)
  local thousandths = per * units * 1000
  local rounded = math.floor(thousandths)
  if thousandths - rounded >= 0.5 then rounded = rounded + 1 end
  return math.min(most, math.ceil(rounded / 1000))
end

local function costOf(hold, outcome)
  if outcome.release or outcome.units == 0 then return 0 end
  if hold.perUnit and outcome.units then return unitsCost(hold.perUnit, outcome.units) end
  if hold.perSecond and outcome.seconds then return unitsCost(hold.perSecond, outcome.seconds) end
  return hold.micros
end

-- For corrections: what a job was charged and where, for as long as that money is known.
local function noteCharge(hold, micros)
  local lines, last = { whole(micros) }, now
  for _, account in ipairs(hold.accounts) do
    lines[#lines + 1] = account.key
    last = math.max(last, account['until'])
  end
  redis.call('SET', key('charge', hold.job), table.concat(lines, '\n'), 'PX', whole(last - now + kept))
end

-- Once, unless the first time released it. Answers false when nothing was open.
local function charge(hold, micros)
  free(hold)
  if hold.charged and (hold.charged ~= 0 or micros == 0) then return false end
  for _, account in ipairs(hold.accounts) do
    if redis.call('EXISTS', key('money', account.key)) == 1 then
      if not hold.charged then add(account.key, 'reserved', -hold.micros) end
      add(account.key, 'spent', micros)
    end
    redis.call('ZREM', key('open', account.key), hold.id)
  end
  if hold.job then noteCharge(hold, micros) end
  local alwaysFree = hold.micros == 0 and not hold.perUnit and not hold.perSecond
  if micros > 0 or alwaysFree or not hold.job then
    forget(hold)
  else
    redis.call('HSET', key('hold', hold.id), 'charged', '0')
  end
  return { whole(micros), hold.note or false }
end

local function expire(hold)
  if not hold.charged then charge(hold, hold.micros) end
  forget(hold)
end

local function find(id)
  local hold = id and load(id)
  if not hold then return nil end
  if hold.ends > now then return hold end
  expire(hold)
  return nil
end

local function findJob(job) return find(redis.call('GET', key('job', job))) end

local function sweep()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', whole(now), 'LIMIT', 0, sweepsPerCall)) do
    if not find(id) then redis.call('ZREM', leases, id) end
  end
end
`;
