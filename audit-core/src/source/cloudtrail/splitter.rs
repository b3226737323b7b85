//! Cuts the text of a log file into records: the elements of the top-level `Records` array, and nothing else.
//!
//! What a record holds is not looked at here, only where it ends; around the records the text must be JSON to the letter.

use super::extent::Extent;
use super::filter::{Filter, OVERLAP_BYTES, Sighting};
use super::window::{More, Window};
use crate::json::{Cursor, Str, SyntaxError};
use crate::source::ahead::Pull;
use crate::source::{ObjectError, ReadLimits};

/// How much is kept of a record too large to be looked into, for whoever has to look at it.
const KEPT_BYTES: usize = 64 << 10;

/// One element of `Records`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Its text; only the start of it, where it is `passed_over`.
    pub(super) raw: &'a [u8],
    /// Where its quotes stand, a bit a byte; empty where that is of no use.
    pub(super) quotes: &'a [u64],
    /// From 1.
    pub(super) number: u64,
    /// Whether it may be a read that is wanted: [`Filter::passes`].
    pub(super) wanted: bool,
    /// Whether it was larger than what is looked into.
    pub(super) passed_over: bool,
}

/// Gives one record after another.
#[derive(Debug)]
pub(super) struct Splitter<'f, T> {
    window: Window<T>,
    filter: &'f Filter,
    place: Place,
    records: u64,
    found_records: bool,
    /// Where the quotes of the last value stand.
    quotes: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// Before the top-level object.
    Start,
    /// In the top-level object, before its first member (`true`) or another one.
    Member(bool),
    /// In `Records`, before its first element (`true`) or after one.
    Element(bool),
    /// In the top-level object, after a member.
    AfterMember,
    /// After the top-level object.
    End,
}

/// A value that was followed to its end.
struct Whole {
    backslash: bool,
    /// Of a value larger than what is looked into: its start, and what was seen in it.
    passed_over: Option<(Vec<u8>, Sighting)>,
}

impl<'f, T: Pull> Splitter<'f, T> {
    pub(super) fn new(text: T, filter: &'f Filter, limits: &ReadLimits) -> Self {
        let window = Window::new(text, limits.buffer_bytes, limits.max_record_bytes);
        Self { window, filter, place: Place::Start, records: 0, found_records: false, quotes: Vec::new() }
    }

    /// How many records were given.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// The next record; `None` when the text was read to its end and found good.
    pub(super) fn next<'s>(&'s mut self, kept: &'s mut Vec<u8>) -> Result<Option<Record<'s>>, ObjectError> {
        let Some(whole) = self.next_element()? else { return Ok(None) };
        self.records += 1;
        let number = self.records;
        Ok(Some(match whole.passed_over {
            None => {
                let raw = self.window.value();
                let quotes = if whole.backslash { &[][..] } else { &self.quotes };
                Record { raw, quotes, number, wanted: self.filter.passes(raw, whole.backslash), passed_over: false }
            }
            Some((start, seen)) => {
                *kept = start;
                Record { raw: kept, quotes: &[], number, wanted: seen.passes(), passed_over: true }
            }
        }))
    }

    fn next_element(&mut self) -> Result<Option<Whole>, ObjectError> {
        loop {
            let next = self.window.peek()?;
            self.place = match (self.place, next) {
                (Place::Start, Some(b'{')) => self.past(Place::Member(true)),
                (Place::Start, _) => return Err(self.bad("expected an object with `Records`")),
                (Place::Member(_), Some(b'"')) => self.member()?,
                (Place::Member(true) | Place::AfterMember, Some(b'}')) => self.past(Place::End),
                (Place::Member(_), _) => return Err(self.bad("expected a key")),
                (Place::AfterMember, Some(b',')) => self.past(Place::Member(false)),
                (Place::AfterMember, _) => return Err(self.bad("expected a comma or the end of the object")),
                (Place::Element(_), Some(b']')) => self.past(Place::AfterMember),
                (Place::Element(true), Some(_)) => return self.element().map(Some),
                (Place::Element(false), Some(b',')) => {
                    self.window.skip(1);
                    return self.element().map(Some);
                }
                (Place::Element(_), _) => return Err(self.bad("expected a comma or the end of `Records`")),
                (Place::End, Some(_)) => return Err(self.bad("expected nothing after the object")),
                (Place::End, None) if self.found_records => return Ok(None),
                (Place::End, None) => return Err(self.bad("no `Records` in the object")),
            };
        }
    }

    fn past(&mut self, place: Place) -> Place {
        self.window.skip(1);
        place
    }

    fn element(&mut self) -> Result<Whole, ObjectError> {
        self.place = Place::Element(false);
        self.value("expected a record")
    }

    /// Reads a key, and its value unless that is the records.
    fn member(&mut self) -> Result<Place, ObjectError> {
        self.value("expected a key")?;
        let is_records = self.grammar(|cursor| cursor.string().map(|key: Str<'_>| key.is("Records")))?;
        if self.window.peek()? != Some(b':') {
            return Err(self.bad("expected a colon after the key"));
        }
        self.window.skip(1);
        let first = self.window.peek()?;
        if is_records {
            if std::mem::replace(&mut self.found_records, true) {
                return Err(self.bad("`Records` for the second time"));
            }
            return if first == Some(b'[') {
                Ok(self.past(Place::Element(true)))
            } else {
                Err(self.bad("expected an array as `Records`"))
            };
        }
        if self.value("expected a value")?.passed_over.is_none() {
            self.grammar(|cursor| cursor.skip().map(|_| ()))?;
        }
        Ok(Place::AfterMember)
    }

    /// Checks the value just followed to the letter.
    fn grammar<'s, V>(
        &'s self,
        read: impl FnOnce(&mut Cursor<'s>) -> Result<V, SyntaxError>,
    ) -> Result<V, ObjectError> {
        let mut cursor = Cursor::new(self.window.value());
        read(&mut cursor).and_then(|value| cursor.end().map(|()| value)).map_err(|error| {
            let at = self.window.value_at() + error.at as u64;
            self.bad_at(at, &format!("expected {}", error.expected))
        })
    }

    /// Follows the value that starts here to its end.
    fn value(&mut self, expected: &str) -> Result<Whole, ObjectError> {
        let mut extent = match self.window.peek()? {
            Some(first) if !b",:]}".contains(&first) => Extent::of(first),
            _ => return Err(self.bad(expected)),
        };
        let mut passed_over: Option<(Vec<u8>, Sighting)> = None;
        self.window.start_value();
        self.quotes.clear();
        loop {
            let (bytes, last) = self.window.rest();
            let followed = match extent.follow(bytes, last, &mut self.quotes) {
                Ok(followed) => followed,
                Err(error) => return Err(self.bad_at(self.window.at() + error.at as u64, error.what)),
            };
            self.window.skip(followed.len);
            if followed.ended {
                break;
            }
            match self.window.more()? {
                More::End if last => return Err(self.bad("the text is cut off")),
                More::Text | More::End => {}
                More::Full => {
                    let piece = self.window.value();
                    let (_, seen) = passed_over.get_or_insert_with(|| {
                        (piece.get(..KEPT_BYTES).unwrap_or(piece).to_vec(), Sighting::default())
                    });
                    self.filter.look(piece, seen);
                    self.window.drop_value(OVERLAP_BYTES);
                }
            }
        }
        if let Some((_, seen)) = &mut passed_over {
            self.filter.look(self.window.value(), seen);
        }
        Ok(Whole { backslash: extent.backslash(), passed_over })
    }

    fn bad(&self, what: &str) -> ObjectError {
        self.bad_at(self.window.at(), what)
    }

    fn bad_at(&self, at: u64, what: &str) -> ObjectError {
        let what = match self.records {
            0 => format!("before any record: {what}"),
            records => format!("after record {records}: {what}"),
        };
        ObjectError::BadContent { at, what }
    }
}
