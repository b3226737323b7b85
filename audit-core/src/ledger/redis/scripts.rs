//! One script per step, each over a whole batch: Redis runs a script as one, so two workers never see half of it.
//!
//! A value is `C` owner, `S` owner batch lease-end (decimal milliseconds of Redis' own clock), `D` (confirmed), or `H`
//! batch; owner and batch are 16 bytes each. Expiry is Redis' own, and a `sent` is kept past its lease, so the end of that
//! stands inside. A value of any other form stops the script: somebody else uses the key.

use redis::Script;

pub(super) struct Scripts {
    /// Arguments: owner, lease in ms. Answers `C`, `D`, `B`, or `L` and the batch, for each key.
    pub(super) claim: Script,
    /// Arguments: owner, batch, lease in ms, time to keep in ms. Answers 1 or 0 for each key.
    pub(super) sent: Script,
    /// Arguments: batch, TTL in ms.
    pub(super) confirm: Script,
    /// Arguments: batch, TTL in ms.
    pub(super) hold: Script,
    /// Arguments: owner.
    pub(super) release: Script,
    /// Arguments: batch, TTL in ms to confirm or 0 to free.
    pub(super) settle: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let script = |body: &str| Script::new(&format!("{READ}{body}"));
        Self {
            claim: script(CLAIM),
            sent: script(SENT),
            confirm: script(CONFIRM),
            hold: script(HOLD),
            release: script(RELEASE),
            settle: script(SETTLE),
        }
    }
}

const READ: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function read(key)
  local value = redis.call('GET', key)
  if not value then return '' end
  local state, size = value:sub(1, 1), #value
  if (state == 'C' and size == 17) or (state == 'S' and size > 33) or (state == 'H' and size == 17) or value == 'D' then
    return state, value
  end
  error('a key of the ledger holds something else')
end
local function owner(value) return value:sub(2, 17) end
local function batch(value) return value:sub(18, 33) end
local function leased(value) return tonumber(value:sub(34)) > now end
";

const CLAIM: &str = r"
local answers = {}
for i, key in ipairs(KEYS) do
  local state, value = read(key)
  if state == 'D' or state == 'H' then
    answers[i] = 'D'
  elseif state == 'S' and owner(value) ~= ARGV[1] and leased(value) then
    answers[i] = 'B'
  elseif state == 'S' then
    answers[i] = 'L' .. batch(value)
  elseif state == 'C' and owner(value) ~= ARGV[1] then
    answers[i] = 'B'
  else
    redis.call('SET', key, 'C' .. ARGV[1], 'PX', ARGV[2])
    answers[i] = 'C'
  end
end
return answers
";

const SENT: &str = r"
local mark = 'S' .. ARGV[1] .. ARGV[2]
local ends = string.format('%.0f', now + tonumber(ARGV[3]))
local answers = {}
for i, key in ipairs(KEYS) do
  local state, value = read(key)
  local claimed = state == 'C' and owner(value) == ARGV[1]
  local repeated = state == 'S' and value:sub(1, 33) == mark and leased(value)
  answers[i] = 0
  if claimed or repeated then
    redis.call('SET', key, mark .. ends, 'PX', ARGV[4])
    answers[i] = 1
  end
end
return answers
";

const CONFIRM: &str = r"
for _, key in ipairs(KEYS) do
  local state, value = read(key)
  if (state == 'S' and batch(value) == ARGV[1]) or (state == 'H' and value:sub(2) == ARGV[1]) then
    redis.call('SET', key, 'D', 'PX', ARGV[2])
  end
end
";

const HOLD: &str = r"
for _, key in ipairs(KEYS) do
  local state, value = read(key)
  if state == 'S' and batch(value) == ARGV[1] then
    redis.call('SET', key, 'H' .. ARGV[1], 'PX', ARGV[2])
  end
end
";

const RELEASE: &str = r"
for _, key in ipairs(KEYS) do
  local state, value = read(key)
  if (state == 'C' or state == 'S') and owner(value) == ARGV[1] then
    redis.call('DEL', key)
  end
end
";

const SETTLE: &str = r"
for _, key in ipairs(KEYS) do
  local state, value = read(key)
  local held = state == 'H' and value:sub(2) == ARGV[1]
  local lost = state == 'S' and batch(value) == ARGV[1] and not leased(value)
  if (held or lost) and ARGV[2] == '0' then
    redis.call('DEL', key)
  elseif held or lost then
    redis.call('SET', key, 'D', 'PX', ARGV[2])
  end
end
";
