//! The text of the rule table, compiled into one automaton that finds every piece in a single pass.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::{Class, UserAgents};

/// How many pieces a table may have: they are numbered by a byte.
pub(super) const MAX_PIECES: usize = 256;

/// Where a piece may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Anywhere,
    Word,
    Start,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) anchor: Anchor,
}

/// A rule; its lists hold the numbers of pieces.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) class: Class,
    pub(super) client: &'static str,
    pub(super) all: Vec<u8>,
    pub(super) none: Vec<u8>,
    pub(super) version: Vec<u8>,
}

/// A mistake in the table of User-Agent rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("user agent table, line {line}: expected {expected}")]
pub struct TableError {
    /// Its line, from 1; 0 for the table as a whole.
    pub line: usize,
    /// What would be right.
    pub expected: &'static str,
}

impl UserAgents {
    /// Compiles the text of a table, as `clients.txt` explains it.
    ///
    /// # Errors
    /// [`TableError`] with the line of the first mistake.
    pub fn parse(text: &'static str) -> Result<Self, TableError> {
        let (mut pieces, mut rules) = (Vec::new(), Vec::new());
        for (index, line) in text.lines().enumerate() {
            let line_text = line.trim();
            if !line_text.is_empty() && !line_text.starts_with('#') {
                let rule = rule(line_text, &mut pieces);
                rules.push(rule.map_err(|expected| TableError { line: index + 1, expected })?);
            }
        }
        let finder = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(pieces.iter().map(|piece| piece.text.as_str()))
            .map_err(|_| TableError { line: 0, expected: "fewer or shorter pieces" })?;
        Ok(Self { finder, pieces, rules })
    }

    /// The size of the compiled table, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.finder.memory_usage()
            + size_of_val(self.pieces.as_slice())
            + size_of_val(self.rules.as_slice())
            + self.pieces.iter().map(|piece| piece.text.len()).sum::<usize>()
    }
}

fn rule(line: &'static str, pieces: &mut Vec<Piece>) -> Result<Rule, &'static str> {
    let columns: Vec<&'static str> = line.split('|').map(str::trim).collect();
    let [class, client, all, none, version] = columns[..] else {
        return Err("five columns with | between them");
    };
    let class =
        Class::ALL.into_iter().find(|own| own.name() == class).ok_or("the name of a class in the first column")?;
    if client.is_empty() || client.len() > 64 {
        return Err("a client of 1 to 64 bytes in the second column");
    }
    let mut list = |column| numbers(column, pieces);
    let rule = Rule { class, client, all: list(all)?, none: list(none)?, version: list(version)? };
    if rule.all.is_empty() { Err("at least one piece in the third column") } else { Ok(rule) }
}

fn numbers(column: &str, pieces: &mut Vec<Piece>) -> Result<Vec<u8>, &'static str> {
    let texts = column.split('&').map(str::trim).filter(|piece| !piece.is_empty());
    texts.map(|piece| number(piece, pieces)).collect()
}

/// The number of `piece`, which is added where it is new.
fn number(piece: &str, pieces: &mut Vec<Piece>) -> Result<u8, &'static str> {
    let (anchor, text) = match (piece.strip_prefix('^'), piece.strip_prefix('<')) {
        (Some(text), _) => (Anchor::Start, text),
        (None, Some(text)) => (Anchor::Word, text),
        (None, None) => (Anchor::Anywhere, piece),
    };
    if text.is_empty() {
        return Err("text after ^ or <");
    }
    let piece = Piece { text: text.to_ascii_lowercase(), anchor };
    let index = pieces.iter().position(|own| *own == piece).unwrap_or_else(|| {
        pieces.push(piece);
        pieces.len() - 1
    });
    u8::try_from(index).map_err(|_| "at most 256 different pieces")
}
