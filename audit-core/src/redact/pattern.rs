//! Credentials in text: `X-Amz-Signature=…` in a URL, `"X-Amz-Signature":"…"` in broken JSON, `Authorization: …`.
//!
//! A name counts in any case, at the end of a longer word, and with letters escaped as `\u0041` or `%41`. Where it is
//! unclear how far its value goes, more is removed.

use super::REMOVED;
use crate::json::Cursor;

/// What names of credentials end in, the longer before the shorter, and how far an unquoted value goes.
const NAMES: [(&str, Extent); 7] = [
    ("customer-key-md5", Extent::Word),
    ("customer-key", Extent::Word),
    ("security-token", Extent::Word),
    ("credential", Extent::Word),
    ("signature", Extent::Word),
    ("authorization", Extent::Line),
    ("cookie", Extent::Line),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// To white space, `&` or a quote.
    Word,
    /// To the end of the line: the value may have spaces and quotes in it.
    Line,
}

/// `text` without its credentials; `None` where it has none.
pub(super) fn clean(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut clean = Vec::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        let may_start = matches!(byte.to_ascii_lowercase(), b's' | b'c' | b'a' | b'\\' | b'%');
        let Some(found) = may_start.then(|| credential(bytes, at)).flatten() else {
            at += 1;
            continue;
        };
        clean.extend_from_slice(bytes.get(kept..found.start).unwrap_or_default());
        clean.extend_from_slice(REMOVED.as_bytes());
        (kept, at) = (found.end, found.end);
    }
    if kept == 0 {
        return None;
    }
    clean.extend_from_slice(bytes.get(kept..).unwrap_or_default());
    Some(String::from_utf8_lossy(&clean).into_owned())
}

/// Where the value stands of the credential whose name starts at `at`.
fn credential(bytes: &[u8], at: usize) -> Option<std::ops::Range<usize>> {
    let (extent, after) = NAMES.iter().find_map(|(name, extent)| Some((*extent, named(bytes, at, name)?)))?;
    // Between a name and its value: quotes that close and open, escaped or not, white space, and one of `:`, `=` at least.
    let (mut start, mut delimiter) = (after, None);
    while let Some((unit, len)) = unit(bytes, start) {
        match unit {
            b':' | b'=' => delimiter = delimiter.or(Some(unit)),
            b'"' | b'\'' if delimiter.is_some() => break,
            b'"' | b'\'' | b'\\' | b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => break,
        }
        start += len;
    }
    let delimiter = delimiter?;
    let rest = bytes.get(start..).unwrap_or_default();
    // What the backslashes before an opening quote escape is that quote.
    let backslashes = trailing_backslashes(bytes, start);
    let len = match rest.first()? {
        quote @ (b'"' | b'\'') => quoted_len(rest, *quote, backslashes),
        b'[' | b'{' => nested_len(rest),
        _ if delimiter == b':' || extent == Extent::Line => {
            let stop = |byte: u8| matches!(byte, b'\r' | b'\n') || (delimiter == b'=' && byte == b'&');
            rest.iter().position(|byte| stop(*byte)).unwrap_or(rest.len())
        }
        _ => rest
            .iter()
            .position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'&' | b'"' | b'\'' | b'<' | b'>'))
            .unwrap_or(rest.len()),
    };
    (len > 0).then(|| start..start + len)
}

/// Where `name`, which starts at `at`, ends.
fn named(bytes: &[u8], at: usize, name: &str) -> Option<usize> {
    name.bytes().try_fold(at, |at, letter| {
        let (unit, len) = unit(bytes, at)?;
        // Forms turn a hyphen into an underscore, environment variables too.
        let same = unit.eq_ignore_ascii_case(&letter) || (letter == b'-' && unit == b'_');
        same.then_some(at + len)
    })
}

/// The byte at `at`, once its escapes are resolved (`\u0041`, `%41`, `%2541`), and how many bytes it takes.
fn unit(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    const DEEPEST: usize = 8;
    let rest = bytes.get(at..)?;
    let byte = *rest.first()?;
    let escaped = match byte {
        b'\\' => {
            let run = rest.iter().take(DEEPEST).take_while(|byte| **byte == b'\\').count();
            rest.get(run..run + 5).and_then(|rest| rest.strip_prefix(b"u00")).and_then(hex).map(|unit| (unit, run + 5))
        }
        b'%' => {
            let mut len = 1;
            while len < 2 * DEEPEST && rest.get(len..len + 2) == Some(b"25") {
                len += 2;
            }
            rest.get(len..len + 2).and_then(hex).map(|unit| (unit, len + 2))
        }
        _ => None,
    };
    Some(escaped.filter(|(unit, _)| unit.is_ascii()).unwrap_or((byte, 1)))
}

fn hex(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn trailing_backslashes(bytes: &[u8], end: usize) -> usize {
    bytes.get(..end).unwrap_or_default().iter().rev().take_while(|byte| **byte == b'\\').count()
}

/// The length of a quoted value with its quotes, or of everything where the quote is never closed.
fn quoted_len(rest: &[u8], quote: u8, backslashes: usize) -> usize {
    let mut run = 0;
    for (at, &byte) in rest.iter().enumerate().skip(1) {
        if byte == quote && run <= backslashes {
            return at + 1;
        }
        run = if byte == b'\\' { run + 1 } else { 0 };
    }
    rest.len()
}

/// The length of a list or map, or of everything where its grammar is broken.
fn nested_len(rest: &[u8]) -> usize {
    let mut cursor = Cursor::new(rest);
    cursor.skip().map_or(rest.len(), |_| cursor.at())
}
