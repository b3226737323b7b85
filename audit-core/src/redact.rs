//! Credentials out of records before these are kept anywhere.

use serde_json::Value;

/// The most of an unreadable record that is kept, in bytes.
const MAX_UNREADABLE_BYTES: usize = 64 * 1024;

/// Query parameters and headers that are worth something to a thief.
const SECRETS: [&str; 7] = [
    "X-Amz-Signature",
    "Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "Authorization",
    "Cookie",
    "X-Amz-Server-Side-Encryption-Customer-Key",
];

/// The JSON text of `raw` without credentials; of what is no JSON object, a JSON string of its start.
#[must_use]
pub fn record(raw: &[u8]) -> String {
    if let Ok(mut value @ Value::Object(_)) = serde_json::from_slice(raw) {
        clean(&mut value);
        return value.to_string();
    }
    let start = raw.get(..MAX_UNREADABLE_BYTES).unwrap_or(raw);
    Value::String(String::from_utf8_lossy(start).into_owned()).to_string()
}

fn clean(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|key, _| !SECRETS.iter().any(|secret| key.eq_ignore_ascii_case(secret)));
        members.values_mut().for_each(clean);
    } else if let Value::Array(elements) = value {
        elements.iter_mut().for_each(clean);
    }
}
