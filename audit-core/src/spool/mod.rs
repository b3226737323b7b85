//! The durable store of the standalone receiver: entries wait here, flushed to disk, until their sink took them.
//!
//! One SQLite file in WAL mode, written by one thread: the writes that queue up while a commit runs share the next one, so
//! many requests cost one flush. What must be on disk before it is acknowledged is committed with a flush: appended entries,
//! and the ledger's `sent`, `confirm`, `hold`, `release` and `settle`. Claims and removals are not flushed: should the
//! machine lose them, a claim is made again, and an entry that comes back is found confirmed. `kill -9` loses neither.
//!
//! A reserve file keeps room for deliveries when the disk is full: entries are refused then, but those that are there can
//! still leave.

mod directory;
mod entries;
mod error;
mod reserve;
pub(crate) mod schema;
mod stats;
mod upkeep;
mod writer;

#[cfg(test)]
mod bench;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

pub use entries::{Item, New};
pub use error::SpoolError;
use rusqlite::Connection;
pub use stats::Stats;

use self::directory::Directory;
use self::reserve::Reserve;
use self::stats::{Change, Counters};
pub(crate) use self::writer::Flush;
use self::writer::Writer;
use crate::clock::Clock;
use crate::ledger::Owner;

/// Whose queue an entry waits in. Queues are independent of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sink {
    /// Metering records for the resource server.
    Metering,
    /// Events for Plausible.
    Analytics,
}

/// How a spool is set up.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Room on disk kept for deliveries, in bytes: at least 16 MiB more than the largest append.
    pub reserve_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { reserve_bytes: 80 << 20 }
    }
}

/// An open spool. Cheap to clone; closed with the last clone.
#[derive(Debug, Clone)]
pub struct Spool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    writer: Writer,
    reader: Arc<Mutex<Connection>>,
    counters: Arc<Counters>,
    clock: Clock,
    owner: Owner,
}

impl Spool {
    /// Opens the spool in `dir`, made where there is none (mode 0700, files 0600), for this process alone.
    ///
    /// # Errors
    /// When another process has it, when it cannot be made or read, and when it is damaged.
    pub fn open(dir: &Path, clock: Clock) -> Result<Self, SpoolError> {
        Self::open_with(dir, clock, Options::default())
    }

    /// As [`open`](Self::open), set up otherwise.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(dir: &Path, clock: Clock, options: Options) -> Result<Self, SpoolError> {
        let directory = Directory::lock(dir)?;
        let reserve = Reserve::new(directory.reserve(), options.reserve_bytes);
        Self::start(directory, Some(reserve), clock)
    }

    /// Opens the spool in `dir` beside the process that has it, for the ledger alone: entries stay that process' own, and
    /// claims are made under a name of this one's own.
    ///
    /// # Errors
    /// When there is no spool, or it cannot be read.
    pub fn attach(dir: &Path, clock: Clock) -> Result<Self, SpoolError> {
        Self::start(Directory::beside(dir)?, None, clock)
    }

    fn start(directory: Directory, mut reserve: Option<Reserve>, clock: Clock) -> Result<Self, SpoolError> {
        let path = directory.database();
        let db = match schema::open(&path) {
            // What waits must be able to leave a full disk after a restart too.
            Err(SpoolError::Full) if reserve.as_mut().is_some_and(Reserve::give) => schema::open(&path)?,
            opened => opened?,
        };
        let owner = if reserve.is_some() { schema::owner(&db)? } else { Owner(uuid::Uuid::new_v4()) };
        let counters = Arc::new(Counters::count(&db)?);
        let reader = Arc::new(Mutex::new(schema::open_reader(&path)?));
        let writer = Writer::start(db, directory, reserve, Arc::clone(&counters))?;
        Ok(Self(Arc::new(Inner { writer, reader, counters, clock, owner })))
    }

    /// Appends the new ones among `items` in their order and answers how many those are: all of them, on disk when this
    /// returns, or none.
    ///
    /// # Errors
    /// When the disk is full or fails. Nothing is kept then, except where the future was dropped: then it may be.
    pub async fn append(&self, items: Vec<Item>) -> Result<u64, SpoolError> {
        let at = self.0.clock.now().as_millisecond();
        let write = move |db: &Connection, change: &mut Change| entries::insert(db, &items, at, change);
        self.0.writer.run(Flush::Appends, write).await
    }

    /// As [`append`](Self::append), for both queues at once: one flush, all or none of both.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn append_both(&self, metering: Vec<Item>, analytics: Vec<Item>) -> Result<New, SpoolError> {
        let at = self.0.clock.now().as_millisecond();
        let write = move |db: &Connection, change: &mut Change| {
            let downloads = entries::insert(db, &metering, at, change)?;
            Ok(New { downloads, reads: entries::insert(db, &analytics, at, change)? })
        };
        self.0.writer.run(Flush::Appends, write).await
    }

    /// The oldest entries of `sink` after `after_seq` (0: from the start), in order: at most `limit`, and no more than
    /// 8 MiB of bodies, but at least one if there is any.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn read(&self, sink: Sink, after_seq: i64, limit: usize) -> Result<Vec<(i64, Vec<u8>)>, SpoolError> {
        let reader = Arc::clone(&self.0.reader);
        let read = move || {
            let db = reader.lock().unwrap_or_else(PoisonError::into_inner);
            entries::read(&db, sink, after_seq, limit)
        };
        Ok(tokio::task::spawn_blocking(read).await.map_err(|_| SpoolError::Closed)??)
    }

    /// Removes entries that their sink is done with. Whoever keeps a ledger confirms there first.
    ///
    /// # Errors
    /// When the disk is full or fails; all of them are still there then.
    pub async fn remove(&self, sink: Sink, seqs: &[i64]) -> Result<(), SpoolError> {
        let seqs = seqs.to_vec();
        let write = move |db: &Connection, change: &mut Change| entries::delete(db, sink, &seqs, change);
        self.0.writer.run(Flush::No, write).await
    }

    /// How much waits for `sink`. Costs nothing.
    #[must_use]
    pub fn stats(&self, sink: Sink) -> Stats {
        self.0.counters.stats(sink, self.0.clock.now())
    }

    /// The name under which the process that has this spool claims in any ledger: the same after every restart. Of a spool
    /// that is attached: a new name.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.0.owner
    }

    /// Writes and flushes nothing of note.
    ///
    /// # Errors
    /// When an entry could not be appended now: the disk is full or fails.
    pub async fn ping(&self) -> Result<(), SpoolError> {
        let at = self.0.clock.now().as_millisecond();
        self.0.writer.run(Flush::Appends, move |db, _| schema::touch(db, at)).await
    }

    /// Runs a write of the ledger's among the others.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        flush: Flush,
        mut work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SpoolError> {
        self.0.writer.run(flush, move |db, _| work(db)).await
    }

    /// Commits and flushed commits so far.
    #[cfg(test)]
    fn commits(&self) -> (u64, u64) {
        self.0.counters.commits()
    }
}
