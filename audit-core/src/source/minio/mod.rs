//! MinIO's audit webhook: entries one after another, in an array, or alone; from a POST or from a file of them.

mod entry;
mod file;
mod notification;
mod split;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

pub use entry::{Malformed, event};
pub use file::read_file;
pub use split::{Entries, Entry};

use crate::analytics::Read as Visit;
use crate::policy::{MeteringPolicy, QuarantineReason, SkipReason, Verdict};
use crate::quarantine::Quarantined;
use crate::record::Download;
use crate::redact;

/// What a POST's body held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// How many entries: downloads, skipped and quarantined ones together.
    pub records: u64,
    /// Entries with nothing to bill, by reason.
    pub skipped: BTreeMap<SkipReason, u64>,
    /// 1 for a health check (nothing, white space, `{}` or `[]`), which is no entry; else 0.
    pub probes: u64,
    /// To be billed, in the order of the body; not yet de-duplicated.
    pub downloads: Vec<Download>,
    /// To be kept for a person to look at, credentials removed: the first of them, where a body of small rubbish has very many.
    pub quarantined: Vec<Quarantined>,
    /// Where there are more: the number of the last entry in `quarantined`, after which [`quarantined_after`] goes on.
    pub more_after: Option<u64>,
    /// For the dashboard, in the order of the body: billed or not, and told of by notifications too. Empty unless asked for.
    pub reads: Vec<Visit>,
}

/// What became of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// To be billed.
    Download(Download),
    /// Nothing to bill.
    Skipped(SkipReason),
    /// To be kept for a person to look at, credentials removed.
    Quarantined(Quarantined),
}

/// Reads the `body` of a POST named `origin` (`request:ID`). Never fails: what cannot be read is among the quarantined.
#[must_use]
pub fn read(body: &[u8], origin: &Arc<str>, policy: &MeteringPolicy) -> Reading {
    read_for(body, origin, policy, false)
}

/// As [`read`], with `visits` also for the dashboard.
#[must_use]
pub fn read_for(body: &[u8], origin: &Arc<str>, policy: &MeteringPolicy, visits: bool) -> Reading {
    let mut reading = Reading::default();
    if is_probe(body) {
        reading.probes = 1;
        return reading;
    }
    let mut entries = Entries::new(body, body.len());
    let mut room = Room::default();
    // Reading from memory cannot fail.
    while let Ok(Some(entry)) = entries.next() {
        reading.records += 1;
        let (outcome, read) = look(&entry, origin, policy, visits);
        reading.reads.extend(read);
        match outcome {
            Outcome::Download(download) => reading.downloads.push(download),
            Outcome::Skipped(reason) => *reading.skipped.entry(reason).or_default() += 1,
            Outcome::Quarantined(quarantined) if room.is_left(&reading.quarantined) => {
                room.take(&quarantined);
                reading.quarantined.push(quarantined);
            }
            Outcome::Quarantined(_) => {
                reading.more_after = reading.quarantined.last().map(|last| last.number);
            }
        }
    }
    reading
}

/// Hands what is to be quarantined after entry `after` to `take`, some at a time, until it answers `false`.
pub fn quarantined_after(
    body: &[u8],
    origin: &Arc<str>,
    policy: &MeteringPolicy,
    after: u64,
    mut take: impl FnMut(Vec<Quarantined>) -> bool,
) {
    let mut entries = Entries::new(body, body.len());
    let (mut some, mut room) = (Vec::new(), Room::default());
    while let Ok(Some(entry)) = entries.next() {
        if entry.number <= after {
            continue;
        }
        let Outcome::Quarantined(quarantined) = judge(&entry, origin, policy) else { continue };
        if !room.is_left(&some) {
            if !take(std::mem::take(&mut some)) {
                return;
            }
            room = Room::default();
        }
        room.take(&quarantined);
        some.push(quarantined);
    }
    if !some.is_empty() {
        take(some);
    }
}

/// How much of what is to be quarantined is in memory at a time: a few bytes of rubbish make a record of hundreds.
#[derive(Debug, Default)]
struct Room {
    taken_bytes: usize,
}

impl Room {
    fn is_left(&self, records: &[Quarantined]) -> bool {
        records.len() < 2000 && self.taken_bytes < 2 << 20
    }

    fn take(&mut self, record: &Quarantined) {
        self.taken_bytes += record.record.len();
    }
}

/// Judges one entry of `origin`.
#[must_use]
pub fn judge(entry: &Entry<'_>, origin: &Arc<str>, policy: &MeteringPolicy) -> Outcome {
    look(entry, origin, policy, false).0
}

/// Judges one entry, and with `visits` tells what the dashboard wants of it.
fn look(entry: &Entry<'_>, origin: &Arc<str>, policy: &MeteringPolicy, visits: bool) -> (Outcome, Option<Visit>) {
    let number = entry.number;
    let malformed = |detail: String, raw: &[u8]| {
        let record = redact::record(raw);
        Outcome::Quarantined(Quarantined { reason: QuarantineReason::Malformed, detail, number, id: None, record })
    };
    let raw = match entry.json {
        Ok(raw) => raw,
        Err((error, text)) => return (malformed(error.to_string(), text), None),
    };
    let event = match event(raw, &policy.params) {
        Ok(event) => event,
        Err(error) => return (malformed(error.to_string(), raw), None),
    };
    let read = if visits { Visit::from_event(&event) } else { None };
    let outcome = match policy.classify(&event, origin, number) {
        Verdict::Download(download) => Outcome::Download(download),
        Verdict::Skipped(reason) => Outcome::Skipped(reason),
        Verdict::Quarantined(reason, detail) => Outcome::Quarantined(Quarantined {
            reason,
            detail: detail.to_owned(),
            number,
            id: event.identity,
            record: redact::record(raw),
        }),
    };
    (outcome, read)
}

/// Whether `body` is a health check: nothing at all, or one empty object or array.
fn is_probe(body: &[u8]) -> bool {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let mut rest = body.iter().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    match (rest.next(), rest.next(), rest.next()) {
        (None, ..) => true,
        (Some(open), Some(close), None) => matches!((open, close), (b'{', b'}') | (b'[', b']')),
        _ => false,
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Entries of a file, plain and already inflated; an entry over 64 MiB is malformed.
pub fn entries<R: Read>(file: R) -> Entries<R> {
    Entries::new(file, 64 << 20)
}

#[cfg(test)]
mod tests;
