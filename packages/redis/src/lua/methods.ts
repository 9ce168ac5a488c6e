/** The methods of the Store, as @keyway/core's memory store carries them out. ARGV[1] names one. */
export const methods: string = String.raw`
local methods = {}

function methods.admit(gate, recall, counters, asked, accounts, slots)
  sweep()
  if redis.call('EXISTS', key('value', gate)) == 1 then return { 'paused' } end
  local recalled = recall ~= '' and redis.call('GET', key('value', recall))
  if recalled then return { 'recall', recalled } end
  asked = asked ~= '' and cjson.decode(asked)
  -- Sent again by a client that lost the answer.
  if asked and redis.call('EXISTS', key('hold', asked.id)) == 1 then return { 'ok' } end
  local windows = {}
  counters = cjson.decode(counters)
  for at, counter in ipairs(counters) do
    windows[at] = windowOf(counter)
    local wait = waitFor(windows[at], counter.max)
    if wait > 0 then return { 'rate', counter.key, wait } end
  end
  for _, slot in ipairs(cjson.decode(slots)) do
    if isTaken(slot) then return { 'slots', slot.key } end
  end
  for _, account in ipairs(cjson.decode(accounts)) do
    if not fits(account, asked.micros) then return { 'budget', account.key } end
  end
  local answer = { 'ok' }
  for at, counter in ipairs(counters) do
    local remaining, reset = take(windows[at], counter.max)
    answer[#answer + 1] = remaining
    answer[#answer + 1] = reset
  end
  if asked then open(asked, accounts, slots) end
  return answer
end

function methods.bind(id, job, note, leaseMs, lists)
  sweep()
  redis.call('SET', key('note', job), note, 'NX', 'PX', leaseMs)
  for _, list in ipairs(cjson.decode(lists)) do
    local name = key('list', list.key)
    redis.call('ZADD', name, 'NX', whole(now), job)
    redis.call('ZREMRANGEBYRANK', name, 0, -1 - list.most)
    keepUntil(name, now + leaseMs)
  end
  local hold = find(id)
  if not hold then return 0 end
  redis.call('HSET', key('hold', id), 'job', job, 'note', note)
  local last = lease(hold, now + leaseMs)
  redis.call('SET', key('job', job), id, 'PX', whole(last - now + 5 * kept))
  for _, account in ipairs(hold.charged and {} or hold.accounts) do
    redis.call('ZADD', key('open', account.key), whole(hold.since), id)
    keepUntil(key('open', account.key), last + 5 * kept)
  end
  return 1
end

function methods.mark(job, note, leaseMs, ...)
  redis.call('SET', key('note', job), note, 'PX', leaseMs)
  for _, list in ipairs({ ... }) do redis.call('ZREM', key('list', list), job) end
  return 1
end

function methods.listed(list, since, count, first)
  local name, answer = key('list', list), {}
  local jobs = first == 'newest' and redis.call('ZREVRANGEBYSCORE', name, '+inf', since, 'WITHSCORES', 'LIMIT', 0, count)
    or redis.call('ZRANGEBYSCORE', name, since, '+inf', 'WITHSCORES', 'LIMIT', 0, count)
  for at = 1, #jobs, 2 do
    local note = redis.call('GET', key('note', jobs[at]))
    if note then
      for _, value in ipairs({ jobs[at], note, whole(tonumber(jobs[at + 1])) }) do answer[#answer + 1] = value end
    else
      redis.call('ZREM', name, jobs[at])
    end
  end
  return answer
end

methods['end'] = function(job, seconds)
  local hold = findJob(job)
  if not hold then return false end
  if hold.perSecond and seconds ~= '' then return charge(hold, unitsCost(hold.perSecond, tonumber(seconds))) end
  free(hold)
  return false
end

function methods.settle(kind, name, outcome)
  sweep()
  local hold
  if kind == 'job' then hold = findJob(name) else hold = find(name) end
  return hold and charge(hold, costOf(hold, cjson.decode(outcome))) or false
end

function methods.extend(id, leaseMs, micros)
  sweep()
  local hold = find(id)
  micros = tonumber(micros)
  if not hold or hold.charged then return 0 end
  for _, account in ipairs(hold.accounts) do
    if micros > 0 and not fits(account, micros) then return 0 end
  end
  for _, account in ipairs(hold.accounts) do add(account.key, 'reserved', micros) end
  redis.call('HSET', key('hold', id), 'micros', whole(hold.micros + micros))
  lease(hold, now + leaseMs)
  return 1
end

function methods.correct(job, micros)
  local known = redis.call('GET', key('charge', job))
  if not known then return false end
  local lines = {}
  for line in string.gmatch(known, '[^\n]+') do lines[#lines + 1] = line end
  local change = tonumber(micros) - tonumber(lines[1])
  lines[1] = micros
  redis.call('SET', key('charge', job), table.concat(lines, '\n'), 'KEEPTTL')
  for at = 2, #lines do
    if redis.call('EXISTS', key('money', lines[at])) == 1 then add(lines[at], 'spent', change) end
  end
  local released = findJob(job)
  if released and released.charged then forget(released) end
  return { whole(change) }
end

function methods.balances(...)
  sweep()
  local answer = {}
  for _, account in ipairs({ ... }) do
    local spent, reserved = balanceOf(account)
    answer[#answer + 1] = whole(spent)
    answer[#answer + 1] = whole(reserved)
  end
  return answer
end

function methods.openJobs(account, count)
  sweep()
  local answer = {}
  for _, id in ipairs(redis.call('ZRANGE', key('open', account), 0, count - 1)) do
    local hold = find(id)
    if hold then
      for _, value in ipairs({ hold.job, hold.note, whole(hold.since) }) do answer[#answer + 1] = value end
    else
      redis.call('ZREM', key('open', account), id)
    end
  end
  return answer
end

function methods.claim(name, leaseMs)
  return redis.call('SET', key('value', name), '', 'NX', 'PX', leaseMs) and 1 or 0
end

function methods.put(name, value, leaseMs)
  redis.call('SET', key('value', name), value, 'PX', leaseMs)
  return 1
end

function methods.get(name)
  return redis.call('GET', key('value', name)) or redis.call('GET', key('note', name))
end

function methods.remove(name)
  return redis.call('DEL', key('value', name))
end

return methods[ARGV[1]](unpack(ARGV, 2))
`;
