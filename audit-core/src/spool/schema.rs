//! The database: its settings, tables and version.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use uuid::Uuid;

use super::SpoolError;
use crate::ledger::Owner;

const FORMAT: i64 = 1;
/// "s3a" and a 1, to tell our files from others.
const APPLICATION_ID: i64 = 0x7333_6101;
/// Databases up to this size are read through in search of damage when opened.
const CHECKED_BYTES: u64 = 64 << 20;

/// Flags are plain: a directory with `?` or `%` in its name is no URI.
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// `ledger.state` of what was delivered.
pub(crate) const CONFIRMED: i64 = 2;
/// `ledger.state` of what is held.
pub(crate) const HELD: i64 = 3;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS metering (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL,
  key BLOB UNIQUE, body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS analytics (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL,
  key BLOB UNIQUE, body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS ledger (key BLOB PRIMARY KEY, state INTEGER NOT NULL, owner BLOB, batch BLOB,
  until INTEGER NOT NULL, gone INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

pub(super) fn open(path: &Path) -> Result<Connection, SpoolError> {
    let damaged = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            SpoolError::Damaged { path: path.display().to_string(), reason: error.to_string() }
        }
        _ => error.into(),
    };
    let db = Connection::open_with_flags(path, FLAGS).map_err(damaged)?;
    set_up(&db).map_err(damaged)?;
    check(&db, path, damaged)?;
    db.execute_batch(&format!(
        "BEGIN IMMEDIATE; {TABLES} PRAGMA user_version={FORMAT}; PRAGMA application_id={APPLICATION_ID}; COMMIT"
    ))
    .map_err(damaged)?;
    Ok(db)
}

/// Checkpoints are made by the writer between commits, not by whoever happens to fill the journal.
fn set_up(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(Duration::from_secs(5))?;
    db.set_prepared_statement_cache_capacity(32);
    db.execute_batch(
        "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;
         PRAGMA journal_size_limit=16777216; PRAGMA cache_size=-8192; PRAGMA temp_store=MEMORY;",
    )
}

fn check(
    db: &Connection,
    path: &Path,
    damaged: impl Fn(rusqlite::Error) -> SpoolError + Copy,
) -> Result<(), SpoolError> {
    let number = |pragma| db.query_row(pragma, [], |row| row.get::<_, i64>(0)).map_err(damaged);
    let other = |reason: &str| SpoolError::Damaged { path: path.display().to_string(), reason: reason.to_owned() };
    let (application, found) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    if application != APPLICATION_ID && tables > 0 {
        return Err(other("a database of some other program"));
    }
    if found > FORMAT {
        return Err(SpoolError::Newer { path: path.display().to_string(), found, expected: FORMAT });
    }
    if std::fs::metadata(path).is_ok_and(|file| file.len() <= CHECKED_BYTES) {
        let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(damaged)?;
        if verdict != "ok" {
            return Err(other(&verdict));
        }
    }
    Ok(())
}

pub(super) fn open_reader(path: &Path) -> Result<Connection, SpoolError> {
    let db = Connection::open_with_flags(path, FLAGS)?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.execute_batch("PRAGMA query_only=ON; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-2048;")?;
    Ok(db)
}

/// The name kept in the spool, made with it.
pub(super) fn owner(db: &Connection) -> Result<Owner, SpoolError> {
    let read = || {
        let mut query = db.prepare("SELECT value FROM meta WHERE name = 'owner'")?;
        query.query_row([], |row| row.get::<_, [u8; 16]>(0)).optional()
    };
    if let Some(owner) = read()? {
        return Ok(Owner(Uuid::from_bytes(owner)));
    }
    let owner = Uuid::new_v4();
    db.execute("INSERT INTO meta (name, value) VALUES ('owner', ?1)", params![owner.as_bytes()])?;
    Ok(Owner(owner))
}

pub(super) fn touch(db: &Connection, at_ms: i64) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES ('touched', ?1)")?.execute([at_ms]).map(drop)
}
