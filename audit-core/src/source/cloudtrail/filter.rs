//! A look at a record's bytes that tells most records that cannot be downloads, without reading them.

use memchr::memmem::Finder;

/// Longest of the needles below, less one: how much of a piece must be seen again with the next.
pub(super) const OVERLAP_BYTES: usize = 12;

/// Which records are worth parsing.
#[derive(Debug)]
pub(super) struct Filter {
    get: Finder<'static>,
    query: Option<Finder<'static>>,
    escape: Finder<'static>,
}

/// What was seen of one record.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sighting {
    get: bool,
    query: bool,
    escape: bool,
}

impl Filter {
    /// For presigned reads; with `visits` for reads of any kind.
    pub(super) fn new(visits: bool) -> Self {
        Self {
            get: Finder::new(b"\"GetObject\""),
            query: (!visits).then(|| Finder::new(b"\"QueryString\"")),
            escape: Finder::new(b"\\u00"),
        }
    }

    /// Whether the record `raw` may be a read that is wanted. `backslash`: there may be one in it.
    ///
    /// Both words are ASCII letters between quotes, which JSON can write in one other way only, each letter as `\u00XX`.
    pub(super) fn passes(&self, raw: &[u8], backslash: bool) -> bool {
        let plain = self.query.as_ref().is_none_or(|query| query.find(raw).is_some()) && self.get.find(raw).is_some();
        plain || backslash && self.escape.find(raw).is_some()
    }

    /// Looks at a piece of a record too large to be in memory at once.
    pub(super) fn look(&self, piece: &[u8], seen: &mut Sighting) {
        seen.get |= self.get.find(piece).is_some();
        seen.query |= self.query.as_ref().is_none_or(|query| query.find(piece).is_some());
        seen.escape |= self.escape.find(piece).is_some();
    }
}

impl Sighting {
    /// As [`Filter::passes`].
    pub(super) fn passes(self) -> bool {
        self.get && self.query || self.escape
    }
}
