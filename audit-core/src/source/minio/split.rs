//! Where one entry ends and the next begins: one after another with anything white between them, or in arrays.

use std::io::{self, Read};
use std::ops::Range;

use super::BYTE_ORDER_MARK;
use crate::json::{Cursor, SyntaxError};

/// One entry of a body or file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// The JSON text of an object; or why it is malformed, and all the text that was passed over with it.
    pub json: Result<&'a [u8], (SyntaxError, &'a [u8])>,
}

/// Finds the entries of anything readable, holding no more than one entry (or a little text) at a time.
///
/// After a malformed entry, reading resumes at the newline following that entry's start. In an array, a value that is
/// valid JSON but no object breaks nothing off: its neighbours are found whatever line they are on.
#[derive(Debug)]
pub struct Entries<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    at_end: bool,
    longest: usize,
    /// The rest of a line of which the beginning was given out as malformed.
    passing_over: bool,
    splitter: Splitter,
    number: u64,
}

const CHUNK: usize = 64 << 10;
const NOT_AN_OBJECT: SyntaxError = SyntaxError { at: 0, expected: "an object" };

impl<R: Read> Entries<R> {
    /// The entries of `reader`. Entries of more than `longest` bytes are malformed.
    pub fn new(reader: R, longest: usize) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            start: 0,
            at_end: false,
            longest: longest.max(CHUNK),
            passing_over: false,
            splitter: Splitter::default(),
            number: 0,
        }
    }

    /// The next entry.
    ///
    /// # Errors
    /// Those of the reader. What was given out before is of an input that could not be read to its end.
    #[allow(clippy::should_implement_trait, reason = "an entry borrows from the buffer, which an iterator cannot say")]
    pub fn next(&mut self) -> io::Result<Option<Entry<'_>>> {
        let (error, text) = loop {
            if self.passing_over && !self.pass_over()? {
                return Ok(None);
            }
            let unread = self.buffer.get(self.start..).unwrap_or_default();
            let full = unread.len() >= self.longest;
            let rest = if self.at_end {
                Rest::End
            } else if full {
                Rest::TooLong
            } else {
                Rest::More
            };
            let (step, passed) = self.splitter.step(unread, rest);
            let from = self.start;
            self.start += passed;
            match step {
                Step::Entry(range) => break (None, from + range.start..from + range.end),
                Step::Malformed(error, range) => {
                    self.passing_over = from + range.end == self.buffer.len() && !self.at_end;
                    break (Some(error), from + range.start..from + range.end);
                }
                Step::More if self.at_end => return Ok(None),
                Step::More => self.fill()?,
            }
        };
        self.number += 1;
        let text = self.buffer.get(text).unwrap_or_default();
        let json = error.map_or(Ok(text), |error| Err((error, text)));
        Ok(Some(Entry { number: self.number, json }))
    }

    /// How much memory it holds, in bytes.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Drops what is left of the line; `false` when the input ends in it.
    fn pass_over(&mut self) -> io::Result<bool> {
        loop {
            let unread = self.buffer.get(self.start..).unwrap_or_default();
            if let Some(newline) = memchr::memchr(b'\n', unread) {
                self.start += newline;
                self.passing_over = false;
                return Ok(true);
            }
            self.start = self.buffer.len();
            if self.at_end {
                return Ok(false);
            }
            self.fill()?;
        }
    }

    /// Reads on, as much again as is still unread, so that a long entry is not walked once for every chunk of it.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let wanted = self.buffer.len().clamp(CHUNK, self.longest);
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
        let read = self.reader.by_ref().take(wanted).read_to_end(&mut self.buffer)?;
        self.at_end = read == 0;
        Ok(())
    }
}

/// What follows the text at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// More, which can be waited for.
    More,
    /// More, but what is at hand is as long as an entry may be.
    TooLong,
    /// Nothing.
    End,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Entry(Range<usize>),
    Malformed(SyntaxError, Range<usize>),
    More,
}

#[derive(Debug, Default)]
struct Splitter {
    started: bool,
    place: Place,
    passed: usize,
    wasted: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Outside of any array.
    #[default]
    Between,
    /// After `[`.
    First,
    /// After `[…,`.
    Element,
    /// After an element.
    AfterElement,
    /// On a new line after something malformed in an array, which may or may not have ended with it.
    Resumed,
}

impl Splitter {
    /// The next step from the front of `unread`, and how many bytes are done with after it.
    fn step(&mut self, unread: &[u8], rest: Rest) -> (Step, usize) {
        let (step, passed) = self.find(unread, rest);
        self.passed = self.passed.saturating_add(passed);
        (step, passed)
    }

    fn find(&mut self, unread: &[u8], rest: Rest) -> (Step, usize) {
        let last = rest != Rest::More;
        let mut at = 0;
        if !self.started {
            if unread.len() < BYTE_ORDER_MARK.len() && !last {
                return (Step::More, 0);
            }
            self.started = true;
            if unread.starts_with(BYTE_ORDER_MARK) {
                at = BYTE_ORDER_MARK.len();
            }
        }
        loop {
            let ahead = unread.get(at..).unwrap_or_default();
            at += ahead.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
            let Some(byte) = unread.get(at) else { return self.ran_out(at, rest == Rest::End) };
            self.place = match (self.place, byte) {
                (Place::Between | Place::Resumed, b'[') => Place::First,
                (Place::AfterElement, b',') => Place::Element,
                (Place::Resumed, b',') => Place::Resumed,
                (Place::First | Place::AfterElement | Place::Resumed, b']') => Place::Between,
                (Place::AfterElement, _) => {
                    let expected = "a comma or the end of the array";
                    return self.malformed(SyntaxError { at: 0, expected }, unread, at, last);
                }
                (Place::Between | Place::First | Place::Element | Place::Resumed, _) => {
                    return self.entry(unread, at, last);
                }
            };
            at += 1;
        }
    }

    /// An array that never ends has lost entries, maybe; so it does not pass without a word.
    fn ran_out(&mut self, at: usize, last: bool) -> (Step, usize) {
        if last && matches!(self.place, Place::First | Place::Element | Place::AfterElement) {
            self.place = Place::Between;
            return (Step::Malformed(SyntaxError { at: 0, expected: "the end of the array" }, at..at), at);
        }
        (Step::More, at)
    }

    fn entry(&mut self, unread: &[u8], at: usize, last: bool) -> (Step, usize) {
        let rest = unread.get(at..).unwrap_or_default();
        let is_object = rest.first() == Some(&b'{');
        let in_array = matches!(self.place, Place::First | Place::Element);
        if !is_object && !in_array {
            return self.malformed(NOT_AN_OBJECT, unread, at, last);
        }
        // Text in which every line opens what none closes would be walked to its end from every line. Beyond a generous
        // allowance, an entry must end on the line it starts on, as MinIO's do.
        let own_line = self.wasted > self.passed.saturating_mul(8).saturating_add(1 << 20);
        let line_end = if own_line { memchr::memchr(b'\n', rest) } else { None };
        let window = rest.get(..line_end.unwrap_or(rest.len())).unwrap_or_default();
        let may_go_on = !last && line_end.is_none();

        let mut cursor = Cursor::new(window);
        match cursor.skip() {
            Ok(_) if may_go_on && !is_object && cursor.at() == window.len() => (Step::More, at),
            Ok(_) => {
                let end = at + cursor.at();
                if in_array {
                    self.place = Place::AfterElement;
                }
                if is_object { (Step::Entry(at..end), end) } else { (Step::Malformed(NOT_AN_OBJECT, at..end), end) }
            }
            // Where the text ends within a word or an escape, the error stands at its beginning.
            Err(error) if may_go_on && error.at + 8 > window.len() => (Step::More, at),
            Err(error) => {
                self.wasted = self.wasted.saturating_add(error.at);
                self.malformed(error, unread, at, last)
            }
        }
    }

    fn malformed(&mut self, error: SyntaxError, unread: &[u8], at: usize, last: bool) -> (Step, usize) {
        let rest = unread.get(at..).unwrap_or_default();
        let len = match memchr::memchr(b'\n', rest) {
            Some(newline) => newline,
            None if last => rest.len(),
            None => return (Step::More, at),
        };
        if self.place != Place::Between {
            self.place = Place::Resumed;
        }
        (Step::Malformed(error, at..at + len), at + len)
    }
}
