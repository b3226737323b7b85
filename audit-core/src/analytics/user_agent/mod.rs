//! How an object was downloaded: from a User-Agent to a class, a client and its version, by an ordered table of rules.
//!
//! The table is all there is. `ua-parser` with the rules of uap-core, to know browsers and crawlers more closely, was measured at
//! 0.3 s and 25 MiB for every cold start and 0.3 million classifications a second, against 2 ms, 0.5 MiB and 2.5 million;
//! a dashboard of downloads lumps browsers together anyway, and that library knows few of the programs that read object stores.

mod table;

use aho_corasick::AhoCorasick;

pub use table::TableError;
use table::{Anchor, MAX_PIECES, Piece, Rule};

/// The kinds of clients, as the dashboard names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Class {
    /// A person in a browser or in a store's console.
    Browser,
    /// The portal's own server, zipping a bundle.
    Bundle,
    /// The command line of a store.
    Cli,
    /// DuckDB.
    DuckDb,
    /// Anything in Python.
    Python,
    /// Desktop GIS and GDAL.
    Geospatial,
    /// Anything in R.
    R,
    /// The JVM and its big-data engines.
    Java,
    /// Other SDKs.
    Sdk,
    /// Programs that mount, browse or mirror buckets.
    Sync,
    /// Crawlers: labelled, never left out.
    Crawler,
    /// Any other client.
    Other,
    /// No User-Agent.
    Unknown,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 13] = [
        Self::Browser,
        Self::Bundle,
        Self::Cli,
        Self::DuckDb,
        Self::Python,
        Self::Geospatial,
        Self::R,
        Self::Java,
        Self::Sdk,
        Self::Sync,
        Self::Crawler,
        Self::Other,
        Self::Unknown,
    ];

    /// The value of the `method` prop.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Browser => "Browser/Portal",
            Self::Bundle => "Bundle download",
            Self::Cli => "CLI",
            Self::DuckDb => "DuckDB",
            Self::Python => "Python",
            Self::Geospatial => "GDAL/QGIS",
            Self::R => "R",
            Self::Java => "Java/Spark",
            Self::Sdk => "SDK",
            Self::Sync => "Sync tool",
            Self::Crawler => "Crawler",
            Self::Other => "Other",
            Self::Unknown => "Unknown",
        }
    }
}

/// What a User-Agent tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client<'a> {
    /// Its class.
    pub class: Class,
    /// The client's name, where a rule knows it.
    pub name: Option<&'static str>,
    /// Its version, as the User-Agent has it without a leading `v`.
    pub version: Option<&'a str>,
}

/// The compiled table of rules.
#[derive(Debug)]
pub struct UserAgents {
    finder: AhoCorasick,
    pieces: Vec<Piece>,
    rules: Vec<Rule>,
}

/// What of a User-Agent is looked at, in bytes; real ones are far shorter.
const LOOKED_AT_BYTES: usize = 2048;
const VERSION_BYTES: usize = 40;

impl UserAgents {
    /// The table that was compiled in.
    ///
    /// # Errors
    /// [`TableError`] where the table was replaced by one with a mistake.
    pub fn built_in() -> Result<Self, TableError> {
        Self::parse(include_str!("../clients.txt"))
    }

    /// Classifies `user_agent`, with or without CloudTrail's square brackets. Does not allocate.
    #[must_use]
    pub fn classify<'a>(&self, user_agent: &'a str) -> Client<'a> {
        let text = stripped(user_agent);
        if text.is_empty() || text == "-" {
            return Client { class: Class::Unknown, name: None, version: None };
        }
        let ends = self.find(text);
        let found = |piece: &u8| ends.get(usize::from(*piece)).is_some_and(|&end| end > 0);
        let holds = |rule: &&Rule| rule.all.iter().all(found) && !rule.none.iter().any(found);
        let Some(rule) = self.rules.iter().find(holds) else {
            return Client { class: Class::Other, name: None, version: None };
        };
        let end =
            rule.version.iter().copied().find(|piece| found(piece)).and_then(|piece| ends.get(usize::from(piece)));
        let version = end.and_then(|&end| text.get(usize::from(end)..)).and_then(version_at);
        Client { class: rule.class, name: Some(rule.client), version }
    }

    /// Where each piece first ends in `text`; 0 where it is not there.
    fn find(&self, text: &str) -> [u16; MAX_PIECES] {
        let mut ends = [0; MAX_PIECES];
        let bytes = text.as_bytes();
        let looked_at = bytes.get(..LOOKED_AT_BYTES).unwrap_or(bytes);
        for found in self.finder.find_overlapping_iter(looked_at) {
            let index = found.pattern().as_usize();
            let before = found.start().checked_sub(1).and_then(|at| bytes.get(at));
            let stands = self.pieces.get(index).is_some_and(|piece| match piece.anchor {
                Anchor::Anywhere => true,
                Anchor::Word => before.is_none_or(|byte| !byte.is_ascii_alphanumeric()),
                Anchor::Start => before.is_none(),
            });
            if let Some(end) = ends.get_mut(index).filter(|end| **end == 0 && stands) {
                *end = u16::try_from(found.end()).unwrap_or(u16::MAX);
            }
        }
        ends
    }
}

/// The User-Agent as the client sent it: CloudTrail often wraps it in one pair of square brackets.
#[must_use]
pub fn stripped(user_agent: &str) -> &str {
    let text = user_agent.trim();
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).trim()
}

fn version_at(text: &str) -> Option<&str> {
    let text = text.strip_prefix(' ').unwrap_or(text);
    let digits = text.strip_prefix(['v', 'V']).filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    let text = digits.unwrap_or(text);
    let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+');
    let len = text.bytes().take(VERSION_BYTES).take_while(goes_on).count();
    // What stands there is a word, not a version, unless it has a digit in it.
    text.get(..len).filter(|version| version.bytes().any(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
