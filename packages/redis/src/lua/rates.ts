/** Sliding windows: the last window counts by the part of it that is still within reach. */
export const rates: string = String.raw`
local function windowOf(counter)
  local name = key('rate', counter.key)
  local start = now - now % counter.windowMs
  local known = redis.call('HMGET', name, 'start', 'current', 'previous')
  local since = tonumber(known[1] or -1)
  local window = { name = name, start = start, length = counter.windowMs, current = 0, previous = 0 }
  if since == start then
    window.current, window.previous = tonumber(known[2]), tonumber(known[3])
  elseif since < start and since >= start - counter.windowMs then
    window.previous = tonumber(known[2])
  end
  return window
end

local function usedOf(window)
  return window.current + window.previous * (1 - (now - window.start) / window.length)
end

-- Milliseconds until one more fits, 0 when it does now.
local function waitFor(window, max)
  if usedOf(window) + 1 <= max then return 0 end
  local rest = window.start + window.length - now
  local excess = window.current + 1 - max
  if excess <= 0 then
    local share = 1 + excess / math.max(1, window.previous)
    return math.max(1, math.ceil(window.length * share - (now - window.start)))
  end
  if max < 1 then return rest end
  return math.ceil(rest + window.length * math.min(1, excess / math.max(1, window.current)))
end

local function take(window, max)
  window.current = window.current + 1
  redis.call('HSET', window.name, 'start', whole(window.start), 'current', whole(window.current),
    'previous', whole(window.previous))
  redis.call('PEXPIREAT', window.name, whole(window.start + 2 * window.length))
  return math.max(0, math.floor(max - usedOf(window))), window.start + window.length - now
end
`;
