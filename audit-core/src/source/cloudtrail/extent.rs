//! Where a JSON value ends, told from its brackets and strings alone, over pieces of any size.

use super::block::{BLOCK, backslashes, between, masks};
use crate::json::Nesting;

/// Deeper than this fails the file, so that brackets alone cannot fill the memory.
const MAX_DEPTH: usize = 32 << 20;

/// A value that has begun.
#[derive(Debug)]
pub(super) enum Extent {
    /// An object or array.
    Brackets(Brackets),
    /// A string.
    Text(Text),
    /// A number, a word, or whatever else stands between commas.
    Bare,
}

/// How far a value was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Followed {
    /// How many of the bytes belong to the value.
    pub(super) len: usize,
    /// Whether it ended there.
    pub(super) ended: bool,
}

/// The brackets do not balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unbalanced {
    /// Offset in the bytes.
    pub(super) at: usize,
    /// What is wrong there.
    pub(super) what: &'static str,
}

impl Extent {
    /// Of the value that starts with `first`.
    pub(super) fn of(first: u8) -> Self {
        match first {
            b'{' | b'[' => Self::Brackets(Brackets::default()),
            b'"' => Self::Text(Text::default()),
            _ => Self::Bare,
        }
    }

    /// Follows the value through `bytes`, the next piece; it may leave up to a block of it for when more is there, unless
    /// the piece is the `last`. Of an object or array, the places of its quotes are added to `quotes`, a bit a byte.
    pub(super) fn follow(&mut self, bytes: &[u8], last: bool, quotes: &mut Vec<u64>) -> Result<Followed, Unbalanced> {
        match self {
            Self::Brackets(own) => own.follow(bytes, last, quotes),
            Self::Text(own) => Ok(own.follow(bytes)),
            Self::Bare => {
                let end = bytes.iter().position(|byte| b",:]}[{\" \t\r\n".contains(byte));
                Ok(Followed { len: end.unwrap_or(bytes.len()), ended: end.is_some() || last })
            }
        }
    }

    /// Whether a backslash may have been seen so far.
    pub(super) fn backslash(&self) -> bool {
        match self {
            Self::Brackets(own) => own.backslash,
            Self::Text(own) => own.backslash,
            Self::Bare => true,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Brackets {
    nesting: Nesting,
    in_string: bool,
    escaped: bool,
    backslash: bool,
}

/// How many blocks have their quotes remembered: more than any record has that is looked into.
const MAX_QUOTES: usize = (8 << 20) / BLOCK + 1;

impl Brackets {
    fn follow(&mut self, bytes: &[u8], last: bool, quotes: &mut Vec<u64>) -> Result<Followed, Unbalanced> {
        let (blocks, tail) = bytes.as_chunks::<BLOCK>();
        let mut len = 0;
        for block in blocks {
            if let Some(end) = self.block(block, quotes).map_err(|error| error.after(len))? {
                return Ok(Followed { len: len + end, ended: true });
            }
            len += BLOCK;
        }
        if last && !tail.is_empty() {
            let mut block = [b' '; BLOCK];
            block.iter_mut().zip(tail).for_each(|(own, byte)| *own = *byte);
            let end = self.block(&block, quotes).map_err(|error| error.after(len))?;
            return Ok(Followed { len: len + end.unwrap_or(tail.len()), ended: end.is_some() });
        }
        Ok(Followed { len, ended: false })
    }

    /// The end of the value, if it is in this block.
    #[allow(
        clippy::inline_always,
        reason = "called for every 64 bytes of text: a tenth of the whole time when it is not inlined"
    )]
    #[inline(always)]
    fn block(&mut self, block: &[u8; BLOCK], quotes: &mut Vec<u64>) -> Result<Option<usize>, Unbalanced> {
        let masks = masks(block);
        if quotes.len() < MAX_QUOTES {
            quotes.push(masks.quotes);
        }
        let inside = if !masks.has_backslash && !self.escaped {
            let inside = between(masks.quotes) ^ if self.in_string { u64::MAX } else { 0 };
            self.in_string = inside >> 63 == 1;
            inside
        } else {
            self.backslash |= masks.has_backslash;
            self.inside_with_escapes(masks.quotes, backslashes(block))
        };
        let mut brackets = masks.brackets & !inside;
        while brackets != 0 {
            let at = brackets.trailing_zeros() as usize;
            brackets &= brackets - 1;
            let byte = block.get(at).copied().unwrap_or_default();
            if self.bracket(byte).map_err(|what| Unbalanced { at, what })? {
                return Ok(Some(at + 1));
            }
        }
        Ok(None)
    }

    /// Whether the outermost bracket was closed.
    fn bracket(&mut self, byte: u8) -> Result<bool, &'static str> {
        if !matches!(byte, b'{' | b'[' | b'}' | b']') {
            return Ok(false);
        }
        if byte == b'{' || byte == b'[' {
            if self.nesting.depth() == MAX_DEPTH {
                return Err("nested too deeply; expected at most 33554432 levels");
            }
            self.nesting.push(byte == b'{');
            return Ok(false);
        }
        match (self.nesting.top(), byte) {
            (Some(true), b'}') | (Some(false), b']') => {
                self.nesting.pop();
                Ok(self.nesting.depth() == 0)
            }
            (Some(true), _) => Err("brackets do not match; expected `}`"),
            _ => Err("brackets do not match; expected `]`"),
        }
    }

    /// Which bytes stand in strings, one quote or backslash after another: only in a string does a backslash escape.
    #[cold]
    fn inside_with_escapes(&mut self, quotes: u64, backslashes: u64) -> u64 {
        let mut marks = quotes | backslashes;
        if std::mem::take(&mut self.escaped) {
            marks &= !1;
        }
        let mut toggles = 0;
        let mut in_string = self.in_string;
        while marks != 0 {
            let mark = marks & marks.wrapping_neg();
            marks &= !mark;
            if quotes & mark != 0 {
                toggles |= mark;
                in_string = !in_string;
            } else if in_string {
                self.escaped = mark >> 63 == 1;
                marks &= !(mark << 1);
            }
        }
        let inside = between(toggles) ^ if self.in_string { u64::MAX } else { 0 };
        self.in_string = in_string;
        inside
    }
}

impl Unbalanced {
    fn after(self, len: usize) -> Self {
        Self { at: self.at + len, ..self }
    }
}

#[derive(Debug, Default)]
pub(super) struct Text {
    opened: bool,
    escaped: bool,
    backslash: bool,
}

impl Text {
    fn follow(&mut self, bytes: &[u8]) -> Followed {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => (self.escaped, self.backslash) = (true, true),
                b'"' if self.opened => return Followed { len: at + 1, ended: true },
                _ => self.opened = true,
            }
        }
        Followed { len: bytes.len(), ended: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Byte by byte, as one would write it first.
    fn slow(bytes: &[u8]) -> Result<Option<usize>, usize> {
        let (mut stack, mut in_string, mut escaped) = (Vec::new(), false, false);
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b'{' => stack.push(b'}'),
                b'[' => stack.push(b']'),
                b'}' | b']' => match stack.pop() {
                    Some(expected) if expected == byte => {
                        if stack.is_empty() {
                            return Ok(Some(at + 1));
                        }
                    }
                    _ => return Err(at),
                },
                _ => {}
            }
        }
        Ok(None)
    }

    fn fast(bytes: &[u8], pieces: &[usize]) -> Result<Option<usize>, usize> {
        let mut extent = Extent::of(bytes[0]);
        let (mut at, mut end) = (0, 0);
        let mut pieces = pieces.iter().cycle();
        loop {
            end = (end + pieces.next().unwrap()).min(bytes.len());
            let followed =
                extent.follow(&bytes[at..end], end == bytes.len(), &mut Vec::new()).map_err(|error| at + error.at)?;
            at += followed.len;
            if followed.ended || end == bytes.len() {
                return Ok(followed.ended.then_some(at));
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_loop(
            text in r#"\{([\[\]{}"\\y_]|[\[{]{1,3}|[}\]]{1,3}|"[a-z\\"{]{0,70}"|x{1,70}|\\{1,5}){0,40}"#,
            pieces in prop::collection::vec(1_usize..200, 1..5),
        ) {
            prop_assert_eq!(fast(text.as_bytes(), &pieces), slow(text.as_bytes()));
        }

        #[test]
        fn balanced_values_end_where_they_end(depth in 1_usize..300, pieces in prop::collection::vec(1_usize..200, 1..5)) {
            let text = format!("{}{}, {{", "[{\"}\\\"\":".repeat(depth), "}]".repeat(depth));
            prop_assert_eq!(fast(text.as_bytes(), &pieces), Ok(Some(text.len() - 3)));
        }
    }
}
