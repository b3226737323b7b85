//! Between commits: moves the journal into the database, and gives unused space back.
//!
//! A failure here loses nothing, as what is committed stays in the journal: it is tried again at the next occasion, and
//! whoever writes meanwhile is told if there is no room.

use std::path::PathBuf;

use rusqlite::{Connection, ErrorCode};

const PAGE_BYTES: u64 = 4096;
/// Frames (pages) in the journal at which it is moved, though there is other work.
const FRAMES: u64 = 2048;
/// Free pages worth giving back.
const FREE_PAGES: i64 = 1024;
/// Gives at most 256 of them back.
const SHRINK: &str = "PRAGMA incremental_vacuum(256)";

#[derive(Debug)]
pub(super) struct Upkeep {
    journal: PathBuf,
    /// What the journal may hold: moving it must fit into the reserve, or a full disk could never be emptied.
    frames: i64,
    /// Whether anything was written since the journal was last moved.
    dirty: bool,
    /// Whether there was no room to move the journal.
    stuck: bool,
}

impl Upkeep {
    pub(super) fn new(database: PathBuf, reserve_bytes: u64) -> Self {
        let mut journal = database.into_os_string();
        journal.push("-wal");
        let frames = (reserve_bytes / PAGE_BYTES / 4).clamp(64, FRAMES);
        Self { journal: journal.into(), frames: i64::try_from(frames).unwrap_or(i64::MAX), dirty: true, stuck: false }
    }

    pub(super) fn after_commit(&mut self, db: &Connection) {
        self.dirty = true;
        if frames(db).is_none_or(|frames| frames >= self.frames) {
            self.checkpoint(db);
            shrink(db);
        }
    }

    /// Whether the journal cannot be moved for want of room, so that nothing may make it longer but deliveries.
    pub(super) fn is_stuck(&mut self, db: &Connection) -> bool {
        if self.stuck {
            self.checkpoint(db);
        }
        self.stuck
    }

    /// Moves the journal into the database.
    pub(super) fn checkpoint(&mut self, db: &Connection) {
        let moved = checkpoint(db);
        self.stuck = moved.as_ref().is_err_and(|error| error.sqlite_error_code() == Some(ErrorCode::DiskFull));
        self.dirty = !moved.unwrap_or(false);
    }

    /// One step at a time, so that whoever comes next waits for one only.
    pub(super) fn idle(&mut self, db: &Connection) {
        if shrink(db) {
            self.dirty = true;
        } else if self.dirty {
            self.checkpoint(db);
            self.truncate(db);
        }
    }

    /// Gives an oversized journal back.
    fn truncate(&self, db: &Connection) {
        const LARGE: u64 = 16 << 20;
        if std::fs::metadata(&self.journal).is_ok_and(|file| file.len() > LARGE) {
            _ = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
    }
}

/// How many frames the journal has that the next checkpoint must look at.
fn frames(db: &Connection) -> Option<i64> {
    db.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1)).ok()
}

/// Moves the journal into the database; whether all of it was moved.
fn checkpoint(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        let (busy, frames, moved): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(busy == 0 && frames == moved)
    })
}

/// Gives some free pages back when they are many; whether it did.
fn shrink(db: &Connection) -> bool {
    let number = |pragma: &str| db.query_row(pragma, [], |row| row.get::<_, i64>(0)).unwrap_or(0);
    let free = number("PRAGMA freelist_count");
    if free < FREE_PAGES || free * 4 < number("PRAGMA page_count") {
        return false;
    }
    let vacuum = || {
        let mut steps = db.prepare_cached(SHRINK)?;
        let mut rows = steps.query([])?;
        while rows.next()?.is_some() {}
        Ok::<_, rusqlite::Error>(())
    };
    vacuum().is_ok()
}
