//! The part of the text that is in memory: one buffer, used again and again, with the value being read kept whole in it.

use crate::source::ObjectError;
use crate::source::ahead::Pull;

/// The least that can be read ahead of a value: two blocks.
const MIN_BYTES: usize = 128;

/// A window on the text.
#[derive(Debug)]
pub(super) struct Window<T> {
    text: T,
    buffer: Vec<u8>,
    /// Where the value being read starts; what is before may be overwritten.
    start: usize,
    /// The next byte to look at.
    at: usize,
    /// The end of what was read.
    end: usize,
    ended: bool,
    max_bytes: usize,
}

/// What came of asking for more text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    /// There is more now.
    Text,
    /// There is no more.
    End,
    /// The value alone fills the largest buffer allowed.
    Full,
}

impl<T: Pull> Window<T> {
    pub(super) fn new(text: T, buffer_bytes: usize, max_bytes: usize) -> Self {
        let buffer = vec![0; buffer_bytes.max(MIN_BYTES)];
        Self { text, max_bytes: max_bytes.max(buffer.len()), buffer, start: 0, at: 0, end: 0, ended: false }
    }

    /// Offset of the next byte in the text.
    pub(super) fn at(&self) -> u64 {
        self.text.at() - (self.end - self.at) as u64
    }

    /// The next byte that is not white space, which stays unread; `None` at the end of the text.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, ObjectError> {
        loop {
            while let Some(&byte) = self.buffer.get(self.at).filter(|_| self.at < self.end) {
                if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                    return Ok(Some(byte));
                }
                self.at += 1;
            }
            self.start = self.at;
            if self.more()? != More::Text {
                return Ok(None);
            }
        }
    }

    /// Goes past `len` bytes.
    pub(super) fn skip(&mut self, len: usize) {
        self.at += len;
    }

    /// Keeps everything from here on in memory.
    pub(super) fn start_value(&mut self) {
        self.start = self.at;
    }

    /// From the start of the value to here.
    pub(super) fn value(&self) -> &[u8] {
        self.buffer.get(self.start..self.at).unwrap_or_default()
    }

    /// Offset of the value in the text.
    pub(super) fn value_at(&self) -> u64 {
        self.text.at() - (self.end - self.start) as u64
    }

    /// Gives up keeping the value, but for its last `len` bytes.
    pub(super) fn drop_value(&mut self, len: usize) {
        self.start = self.at.saturating_sub(len).max(self.start);
    }

    /// What is in memory and not yet looked at, and whether the text ends with it.
    pub(super) fn rest(&self) -> (&[u8], bool) {
        (self.buffer.get(self.at..self.end).unwrap_or_default(), self.ended)
    }

    /// Reads on.
    pub(super) fn more(&mut self) -> Result<More, ObjectError> {
        if self.ended {
            return Ok(More::End);
        }
        if self.end == self.buffer.len() {
            self.make_room();
        }
        let Some(room) = self.buffer.get_mut(self.end..).filter(|room| !room.is_empty()) else {
            return Ok(More::Full);
        };
        let len = self.text.pull(room)?;
        self.end += len;
        self.ended = len == 0;
        Ok(if self.ended { More::End } else { More::Text })
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.at, self.end) = (self.at - self.start, self.end - self.start);
            self.start = 0;
        } else if self.buffer.len() < self.max_bytes {
            self.buffer.resize((self.buffer.len() * 2).min(self.max_bytes), 0);
        }
    }
}
