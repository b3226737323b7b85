//! A cursor over one JSON value in memory: checks the grammar while it walks, builds nothing it is not asked for.
//!
//! Audit records are read by picking a dozen fields out of some two kilobytes, and what is billed is judged by its exact
//! text. So numbers stay text, strings stay bytes until somebody wants them, and everything else is passed over without
//! recursion: nesting depth, huge numbers and odd text in fields nobody reads cannot fail anything.

mod nesting;
mod string;

pub(crate) use nesting::Nesting;
use string::plain_len;
pub use string::{NotText, Str};

/// Where the grammar of RFC 8259 was left, and what would have been right there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid JSON at byte {at}: expected {expected}")]
pub struct SyntaxError {
    /// Offset in bytes from the start of the value.
    pub at: usize,
    /// What the grammar allows there.
    pub expected: &'static str,
}

/// The kind of the value that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// A digit or `-`
    Number,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

/// Reads one JSON value from the front.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the quotes stand, a bit a byte; empty where nobody knows.
    quotes: &'a [u64],
}

impl<'a> Cursor<'a> {
    /// A cursor before the first byte of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, quotes: &[] }
    }

    /// A cursor that need not look for the ends of strings: bit `n` of `quotes` tells whether byte `n` is a quote.
    ///
    /// Of use only where `bytes` hold neither backslash nor control character; elsewhere `quotes` are passed over.
    #[must_use]
    pub(crate) fn with_quotes(bytes: &'a [u8], quotes: &'a [u64]) -> Self {
        // A minimum over all, not a search for the first, since only that is compiled to vector code.
        let plain = bytes.iter().fold(u8::MAX, |least, &byte| least.min(byte)) >= 0x20;
        let complete = quotes.len() * 64 >= bytes.len();
        Self { bytes, at: 0, quotes: if plain && complete { quotes } else { &[] } }
    }

    /// Offset of the next unread byte.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// The kind of the next value, which stays unread.
    ///
    /// # Errors
    /// When no value starts here.
    pub fn kind(&mut self) -> Result<Kind, SyntaxError> {
        self.white_space();
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't') => Ok(Kind::True),
            Some(b'f') => Ok(Kind::False),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.expected("a value")),
        }
    }

    /// Walks an object, giving each key to `member`, which must read or [`skip`](Self::skip) its value.
    ///
    /// # Errors
    /// When the next value is no object, its grammar is broken, or `member` says so.
    pub fn object<E: From<SyntaxError>>(
        &mut self,
        mut member: impl FnMut(Str<'a>, &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.white_space();
        self.byte(b'{', "an object")?;
        self.white_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.white_space();
            let key = self.string()?;
            self.white_space();
            self.byte(b':', "a colon after the key")?;
            self.white_space();
            member(key, self)?;
            self.white_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.expected("a comma or the end of the object").into()),
            }
        }
    }

    /// Walks an array, calling `element` before each value, which it must read or [`skip`](Self::skip).
    ///
    /// # Errors
    /// When the next value is no array, its grammar is broken, or `element` says so.
    pub fn array<E: From<SyntaxError>>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.white_space();
        self.byte(b'[', "an array")?;
        self.white_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.white_space();
            element(self)?;
            self.white_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.expected("a comma or the end of the array").into()),
            }
        }
    }

    /// Reads a string.
    ///
    /// # Errors
    /// When the next value is no string, or has a raw control character or an unknown escape in it.
    #[inline]
    pub fn string(&mut self) -> Result<Str<'a>, SyntaxError> {
        if self.peek() == Some(b'"')
            && let Some(end) = self.quote_from(self.at + 1)
        {
            let raw = self.bytes.get(self.at + 1..end).unwrap_or_default();
            self.at = end + 1;
            return Ok(Str { raw, escaped: false });
        }
        self.string_by_search()
    }

    #[inline(never)]
    fn string_by_search(&mut self) -> Result<Str<'a>, SyntaxError> {
        self.white_space();
        self.byte(b'"', "a string")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_len(self.rest());
            match self.peek() {
                Some(b'"') => {
                    let raw = self.bytes.get(start..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok(Str { raw, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.expected("no raw control character in a string")),
                None => return Err(self.expected("the end of the string")),
            }
        }
    }

    /// Passes over one value of any kind and returns its text, white space around it left out.
    ///
    /// # Errors
    /// When the value's grammar is broken.
    pub fn skip(&mut self) -> Result<&'a [u8], SyntaxError> {
        self.white_space();
        let start = self.at;
        let mut nesting = Nesting::default();
        loop {
            // Before a value.
            match self.kind()? {
                Kind::Object => {
                    self.at += 1;
                    self.white_space();
                    if self.peek() == Some(b'}') {
                        self.at += 1;
                    } else {
                        nesting.push(true);
                        self.key()?;
                        continue;
                    }
                }
                Kind::Array => {
                    self.at += 1;
                    self.white_space();
                    if self.peek() == Some(b']') {
                        self.at += 1;
                    } else {
                        nesting.push(false);
                        continue;
                    }
                }
                Kind::String => {
                    self.string()?;
                }
                Kind::Number => self.number()?,
                Kind::True => self.word(b"true")?,
                Kind::False => self.word(b"false")?,
                Kind::Null => self.word(b"null")?,
            }
            // After a value: close what ends here.
            loop {
                let Some(in_object) = nesting.top() else {
                    return Ok(self.bytes.get(start..self.at).unwrap_or_default());
                };
                self.white_space();
                match (self.peek(), in_object) {
                    (Some(b','), true) => {
                        self.at += 1;
                        self.key()?;
                        break;
                    }
                    (Some(b','), false) => {
                        self.at += 1;
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.at += 1;
                        nesting.pop();
                    }
                    (_, true) => return Err(self.expected("a comma or the end of the object")),
                    (_, false) => return Err(self.expected("a comma or the end of the array")),
                }
            }
        }
    }

    /// Makes sure that nothing but white space is left.
    ///
    /// # Errors
    /// When something is.
    pub fn end(&mut self) -> Result<(), SyntaxError> {
        self.white_space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.expected("nothing after the value")) }
    }

    /// The first quote from `at` on, if the places of quotes are known.
    #[inline]
    fn quote_from(&self, at: usize) -> Option<usize> {
        let (mut word, bit) = (at / 64, at % 64);
        let mut quotes = *self.quotes.get(word)? >> bit << bit;
        while quotes == 0 {
            word += 1;
            quotes = *self.quotes.get(word)?;
        }
        Some(word * 64 + quotes.trailing_zeros() as usize).filter(|end| *end < self.bytes.len())
    }

    /// Passes over `"key":"value","key":"value",…` as far as it is written without white space, when the places of quotes
    /// are known; stands before a key afterwards, as before. The bulk of what is skipped looks like this.
    #[inline]
    fn plain_members(&mut self) {
        let is = |at: usize, text: &[u8; 3]| self.bytes.get(at..).and_then(|rest| rest.first_chunk()) == Some(text);
        let mut at = self.at;
        while self.bytes.get(at) == Some(&b'"')
            && let Some(key_end) = self.quote_from(at + 1)
            && is(key_end, b"\":\"")
            && let Some(end) = self.quote_from(key_end + 3)
            && is(end, b"\",\"")
        {
            at = end + 2;
        }
        self.at = at;
    }

    #[inline]
    fn key(&mut self) -> Result<(), SyntaxError> {
        self.plain_members();
        self.string()?;
        self.white_space();
        self.byte(b':', "a colon after the key")
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.expected("a digit")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(())
    }

    fn some_digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        self.digits();
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn digits(&mut self) {
        self.at += self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), SyntaxError> {
        if self.rest().starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.expected("true, false or null"))
        }
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.bytes.get(self.at + 2..self.at + 6) {
                Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => {
                    self.at += 6;
                    Ok(())
                }
                _ => Err(self.expected("four hexadecimal digits after \\u")),
            },
            _ => Err(self.expected("a known escape")),
        }
    }

    #[inline]
    fn byte(&mut self, byte: u8, expected: &'static str) -> Result<(), SyntaxError> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.expected(expected))
        }
    }

    #[inline]
    fn white_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn expected(&self, expected: &'static str) -> SyntaxError {
        SyntaxError { at: self.at, expected }
    }
}

#[cfg(test)]
mod tests;
