//! Strings: their bytes, and their text once somebody wants it.

use std::borrow::Cow;

use wide::u8x16;

/// Why a string has no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotText {
    /// The bytes are not UTF-8: the record that holds them is malformed.
    InvalidUtf8,
    /// An escaped surrogate without its other half: valid JSON, but no Unicode text.
    LoneSurrogate,
}

/// A string as it stands between its quotes, escapes not yet resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Str<'a> {
    pub(super) raw: &'a [u8],
    pub(super) escaped: bool,
}

impl<'a> Str<'a> {
    /// The bytes between the quotes, escapes not resolved.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// The bytes between the quotes where they are the text as it is; `None` where an escape stands among them.
    #[must_use]
    pub fn plain(self) -> Option<&'a [u8]> {
        (!self.escaped).then_some(self.raw)
    }

    /// The text, borrowed where no escape stands in it.
    ///
    /// # Errors
    /// [`NotText`] when the string holds bytes that are not UTF-8, or half a surrogate pair.
    pub fn text(self) -> Result<Cow<'a, str>, NotText> {
        if self.escaped {
            unescape(self.raw).map(Cow::Owned)
        } else {
            std::str::from_utf8(self.raw).map(Cow::Borrowed).map_err(|_| NotText::InvalidUtf8)
        }
    }

    /// Whether the string is `text`, escapes resolved.
    #[must_use]
    pub fn is(self, text: &str) -> bool {
        if self.escaped { self.text().is_ok_and(|own| own == text) } else { self.raw == text.as_bytes() }
    }
}

/// How many bytes from the front are neither a quote, a backslash nor a control character; sixteen at a time.
#[inline]
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    let (chunks, tail) = bytes.as_chunks::<16>();
    for (nth, chunk) in chunks.iter().enumerate() {
        let bytes = u8x16::new(*chunk);
        let special = bytes.simd_eq(u8x16::splat(b'"'))
            | bytes.simd_eq(u8x16::splat(b'\\'))
            | bytes.max(u8x16::splat(0x1f)).simd_eq(u8x16::splat(0x1f));
        let special = special.to_bitmask();
        if special != 0 {
            return nth * 16 + special.trailing_zeros() as usize;
        }
    }
    let plain = tail.iter().take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\').count();
    chunks.len() * 16 + plain
}

fn unescape(raw: &[u8]) -> Result<String, NotText> {
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        text.extend_from_slice(plain);
        let (char, len) = escaped_char(escape)?;
        text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        rest = escape.get(len..).unwrap_or_default();
    }
    text.extend_from_slice(rest);
    String::from_utf8(text).map_err(|_| NotText::InvalidUtf8)
}

/// The character an escape stands for and the escape's length; the grammar was checked when the string was read.
fn escaped_char(escape: &[u8]) -> Result<(char, usize), NotText> {
    let simple = match escape.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(escape),
        Some(&other) => char::from(other),
        None => return Err(NotText::LoneSurrogate),
    };
    Ok((simple, 2))
}

fn unicode_escape(escape: &[u8]) -> Result<(char, usize), NotText> {
    let first = hex4(escape).ok_or(NotText::LoneSurrogate)?;
    if let Some(char) = char::from_u32(first) {
        return Ok((char, 6));
    }
    let second = escape.get(6..).and_then(hex4).ok_or(NotText::LoneSurrogate)?;
    match (first, second) {
        (0xD800..=0xDBFF, 0xDC00..=0xDFFF) => {
            char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)).map(|char| (char, 12))
        }
        _ => None,
    }
    .ok_or(NotText::LoneSurrogate)
}

/// The value of the `\uXXXX` at the front.
fn hex4(escape: &[u8]) -> Option<u32> {
    let hex = escape.strip_prefix(b"\\u")?.get(..4)?;
    u32::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
}
