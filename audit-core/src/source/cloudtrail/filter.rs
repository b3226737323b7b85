//! A look at a record's bytes that tells most records that cannot be downloads, without reading them.

use memchr::memmem::Finder;

/// Longest of the needles below, less one: how much of a piece must be seen again with the next.
pub(super) const OVERLAP_BYTES: usize = 12;

/// Which records are worth parsing.
#[derive(Debug)]
pub(super) struct Filter {
    get: Finder<'static>,
    query: Finder<'static>,
    escape: Finder<'static>,
    visits: bool,
}

/// What a record may be, as far as a look tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing that anybody asked for.
    Nothing,
    /// A read that is certainly no presigned one: for the dashboard alone.
    Visit,
    /// A presigned read.
    Download,
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
            query: Finder::new(b"\"QueryString\""),
            escape: Finder::new(b"\\u00"),
            visits,
        }
    }

    /// What the record `raw` may be. `backslash`: there may be one in it.
    ///
    /// Both words are ASCII letters between quotes, which JSON can write in one other way only, each letter as `\u00XX`.
    pub(super) fn judge(&self, raw: &[u8], backslash: bool) -> Wanted {
        let finds = |finder: &Finder<'_>| finder.find(raw).is_some();
        if !self.visits {
            let plain = finds(&self.query) && finds(&self.get);
            return self.of(plain, plain || backslash && finds(&self.escape));
        }
        let get = finds(&self.get);
        self.of(get, get && finds(&self.query) || backslash && finds(&self.escape))
    }

    /// Looks at a piece of a record too large to be in memory at once.
    pub(super) fn look(&self, piece: &[u8], seen: &mut Sighting) {
        seen.get |= self.get.find(piece).is_some();
        seen.query |= self.query.find(piece).is_some();
        seen.escape |= self.escape.find(piece).is_some();
    }

    /// As [`judge`](Self::judge), of a record that was looked at piece by piece.
    pub(super) fn judge_seen(&self, seen: Sighting) -> Wanted {
        self.of(seen.get, seen.get && seen.query || seen.escape)
    }

    fn of(&self, get: bool, download: bool) -> Wanted {
        match (download, get && self.visits) {
            (true, _) => Wanted::Download,
            (false, true) => Wanted::Visit,
            (false, false) => Wanted::Nothing,
        }
    }
}
