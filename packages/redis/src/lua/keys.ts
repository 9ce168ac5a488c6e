/**
 * What the rest of the script stands on. KEYS[1] is the beginning of every key and holds the hash tag, so all keys live in one slot, and a
 * client's own key prefix goes in front of all of them. Numbers are whole and below 2^53; they are written without an exponent.
 */
export const keys: string = String.raw`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most = 9007199254740991
local kept = 7 * 86400000

local function key(kind, name) return KEYS[1] .. ':' .. kind .. ':' .. name end
local function whole(number) return string.format('%.0f', math.max(-most, math.min(most, number))) end
local function exact(number) return string.format('%.17g', number) end

-- Expiry only moves on.
local function keepUntil(name, at)
  if redis.call('PTTL', name) < at - now then redis.call('PEXPIREAT', name, whole(at)) end
end
`;
