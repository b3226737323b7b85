//! How much waits, kept as it changes.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::{Sink, SpoolError, entries};

/// How much waits for one sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Entries.
    pub entries: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// How long the oldest has waited; `None` when nothing waits.
    pub oldest: Option<Duration>,
}

/// What a transaction changes, counted in when it is committed.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Change {
    metering: Difference,
    analytics: Difference,
}

#[derive(Debug, Default, Clone, Copy)]
struct Difference {
    entries: i64,
    bytes: i64,
}

impl Change {
    pub(super) fn add(&mut self, sink: Sink, entries: i64, bytes: i64) {
        let own = match sink {
            Sink::Metering => &mut self.metering,
            Sink::Analytics => &mut self.analytics,
        };
        own.entries += entries;
        own.bytes += bytes;
    }
}

#[derive(Debug, Default)]
struct Queue {
    entries: AtomicI64,
    bytes: AtomicI64,
    /// When the oldest entry came, in epoch milliseconds; [`NONE`] when nothing waits.
    oldest: AtomicI64,
}

const NONE: i64 = i64::MAX;

#[derive(Debug, Default)]
pub(super) struct Counters {
    metering: Queue,
    analytics: Queue,
    commits: AtomicU64,
    flushes: AtomicU64,
}

impl Counters {
    pub(super) fn count(db: &Connection) -> Result<Self, SpoolError> {
        let own = Self::default();
        for sink in [Sink::Metering, Sink::Analytics] {
            let (entries, bytes) = entries::count(db, sink)?;
            own.queue(sink).entries.store(entries, Ordering::Relaxed);
            own.queue(sink).bytes.store(bytes, Ordering::Relaxed);
            own.look_for_oldest(db, sink)?;
        }
        Ok(own)
    }

    /// Counts a committed transaction in.
    pub(super) fn committed(&self, db: &Connection, change: &Change, flushed: bool) -> rusqlite::Result<()> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.flushes.fetch_add(u64::from(flushed), Ordering::Relaxed);
        for (sink, change) in [(Sink::Metering, change.metering), (Sink::Analytics, change.analytics)] {
            let queue = self.queue(sink);
            let before = queue.entries.fetch_add(change.entries, Ordering::Relaxed);
            queue.bytes.fetch_add(change.bytes, Ordering::Relaxed);
            if change.entries < 0 || (before == 0 && change.entries > 0) {
                self.look_for_oldest(db, sink)?;
            }
        }
        Ok(())
    }

    pub(super) fn stats(&self, sink: Sink, now: Timestamp) -> Stats {
        let queue = self.queue(sink);
        let whole = |number: &AtomicI64| u64::try_from(number.load(Ordering::Relaxed)).unwrap_or(0);
        let oldest = queue.oldest.load(Ordering::Relaxed);
        let waited = u64::try_from(now.as_millisecond().saturating_sub(oldest)).unwrap_or(0);
        Stats {
            entries: whole(&queue.entries),
            bytes: whole(&queue.bytes),
            oldest: (oldest != NONE).then(|| Duration::from_millis(waited)),
        }
    }

    #[cfg(test)]
    pub(super) fn commits(&self) -> (u64, u64) {
        (self.commits.load(Ordering::Relaxed), self.flushes.load(Ordering::Relaxed))
    }

    fn look_for_oldest(&self, db: &Connection, sink: Sink) -> rusqlite::Result<()> {
        let sql = format!("SELECT at FROM {} ORDER BY seq LIMIT 1", entries::table(sink));
        let oldest = db.prepare_cached(&sql)?.query_row([], |row| row.get(0)).optional()?;
        self.queue(sink).oldest.store(oldest.unwrap_or(NONE), Ordering::Relaxed);
        Ok(())
    }

    fn queue(&self, sink: Sink) -> &Queue {
        match sink {
            Sink::Metering => &self.metering,
            Sink::Analytics => &self.analytics,
        }
    }
}
