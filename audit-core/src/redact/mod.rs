//! Credentials out of whatever is kept: signatures, tokens, cookies, customer keys.
//!
//! What is valid JSON stays so, with the values of such keys replaced at any depth and text values cleaned by pattern.
//! Everything else becomes a JSON string, cleaned by pattern, where too much goes rather than too little. One pass, no
//! recursion.

mod pattern;

use crate::json::{Cursor, Str, SyntaxError};

/// What stands where a credential stood. A value stays, so that a replayed record is still seen to have been signed.
pub const REMOVED: &str = "[removed]";

/// How much is kept of what cannot be parsed, in bytes.
pub const LONGEST_TEXT: usize = 64 << 10;

/// Keys whose values are credentials, in lower case.
const KEYS: [&str; 13] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "signature",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key-md5",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-md5",
    "x-amz-signature",
    "x-minio-server-side-encryption-customer-key",
];

/// The JSON text, on one line, of `raw` without credentials.
#[must_use]
pub fn record(raw: &[u8]) -> String {
    match std::str::from_utf8(raw).ok().and_then(|_| json(raw).ok()) {
        Some(json) => json,
        None => quoted(&text(raw)),
    }
}

/// `text` without credentials, found by pattern.
#[must_use]
pub fn words(text: &str) -> String {
    pattern::clean(text).unwrap_or_else(|| text.to_owned())
}

/// Cut first, so that the work is bounded: what follows the cut takes its credentials along.
fn text(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw.get(..LONGEST_TEXT).unwrap_or(raw));
    let mut text = words(&text);
    text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    text
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// In valid JSON, keys are the strings before a colon, so no structure need be kept while walking from string to string.
fn json(raw: &[u8]) -> Result<String, SyntaxError> {
    let mut cursor = Cursor::new(raw);
    cursor.skip()?;
    cursor.end()?;

    let mut clean = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        if byte != b'"' {
            if !is_space(byte) {
                clean.push(byte);
            }
            at += 1;
            continue;
        }
        let rest = raw.get(at..).unwrap_or_default();
        let mut cursor = Cursor::new(rest);
        let string = cursor.string()?;
        let end = cursor.at();
        clean.extend_from_slice(cleaned(string, rest.get(..end).unwrap_or_default()).as_bytes());
        at += end;

        let gap = raw.get(at..).unwrap_or_default().iter().take_while(|byte| is_space(**byte)).count();
        if raw.get(at + gap) == Some(&b':') && is_credential(string) {
            clean.push(b':');
            at += gap + 1;
            let mut cursor = Cursor::new(raw.get(at..).unwrap_or_default());
            let value = cursor.skip()?;
            clean.extend_from_slice(replacement(value).as_bytes());
            at += cursor.at();
        }
    }
    Ok(String::from_utf8_lossy(&clean).into_owned())
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_credential(key: Str<'_>) -> bool {
    key.text().is_ok_and(|key| {
        let key = key.trim();
        KEYS.iter().any(|name| key.eq_ignore_ascii_case(name))
    })
}

/// What is not there stays so: a signature of null must not look like one on a replay.
fn replacement(value: &[u8]) -> String {
    match value {
        b"null" => "null".to_owned(),
        [b'"', inner @ .., b'"'] if inner.iter().all(|byte| *byte <= b' ') => "\"\"".to_owned(),
        _ => quoted(REMOVED),
    }
}

/// A string of valid JSON, quotes included, as it was or cleaned by pattern.
fn cleaned(string: Str<'_>, quotes_included: &[u8]) -> String {
    let own = || String::from_utf8_lossy(quotes_included).into_owned();
    if let Ok(text) = string.text() {
        return pattern::clean(&text).map_or_else(own, |clean| quoted(&clean));
    }
    // Half a surrogate pair: no text, so its escapes are looked at as they stand.
    let raw = own();
    let inner = raw.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or_default();
    pattern::clean(inner).map_or_else(|| raw.clone(), |clean| quoted(&clean))
}

#[cfg(test)]
mod tests;
