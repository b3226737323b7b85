//! What earlier runs finished: a small database, so that memory does not grow with it and a kill loses nothing that matters.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use audit_core::pipeline::backfill::Listed;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

const SCHEMA: &str = "\
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS finished (id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rate (
  one INTEGER PRIMARY KEY CHECK (one = 1), jobs REAL NOT NULL, files REAL NOT NULL, seconds REAL NOT NULL);";
/// How long another run of the same state may keep it locked.
const BUSY: Duration = Duration::from_secs(30);

/// The state of backfills.
#[derive(Debug)]
pub(super) struct State {
    db: Connection,
    /// What files are finished for: a resource server with its ledger, or a queue.
    target: String,
}

/// How fast an earlier run was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    pub(super) jobs: f64,
    pub(super) files: f64,
    pub(super) seconds: f64,
}

impl State {
    /// Opens the state in `file`, made where there is none; only its owner may read it.
    pub(super) fn open(file: &Path, target: &str) -> Result<Self> {
        let open = || -> Result<Connection> {
            OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
            let db = Connection::open(file)?;
            db.busy_timeout(BUSY)?;
            db.execute_batch(SCHEMA)?;
            Ok(db)
        };
        let db = open().with_context(|| {
            format!("--state {}: expected a file of an earlier run, or room for a new one", file.display())
        })?;
        Ok(Self { db, target: target.to_owned() })
    }

    /// Whether `file` of `bucket`, in this version of it, is finished.
    pub(super) fn knows(&self, bucket: &str, file: &Listed) -> Result<bool> {
        let mut asked = self.db.prepare_cached("SELECT 1 FROM finished WHERE id = ?1")?;
        Ok(asked.exists([self.id(bucket, file)])?)
    }

    /// Remembers `files` of `bucket` as finished.
    pub(super) fn remember(&mut self, bucket: &str, files: &[Listed]) -> Result<()> {
        let ids: Vec<_> = files.iter().map(|file| self.id(bucket, file)).collect();
        let write = || -> rusqlite::Result<()> {
            let all = self.db.transaction()?;
            for id in ids {
                all.prepare_cached("INSERT OR IGNORE INTO finished (id) VALUES (?1)")?.execute([id])?;
            }
            all.commit()
        };
        write().context("--state: cannot be written to")
    }

    /// The rate of the last run that was long enough to tell.
    pub(super) fn rate(&self) -> Result<Option<Rate>> {
        let read = |row: &rusqlite::Row<'_>| Ok(Rate { jobs: row.get(0)?, files: row.get(1)?, seconds: row.get(2)? });
        Ok(self.db.query_row("SELECT jobs, files, seconds FROM rate", [], read).optional()?)
    }

    /// Keeps the rate of this run.
    pub(super) fn keep_rate(&self, rate: Rate) -> Result<()> {
        let Rate { jobs, files, seconds } = rate;
        let sql = "INSERT OR REPLACE INTO rate (one, jobs, files, seconds) VALUES (1, ?1, ?2, ?3)";
        self.db.execute(sql, params![jobs, files, seconds]).context("--state: cannot be written to")?;
        Ok(())
    }

    /// Half a digest: nothing of the target (which may hold a password) or the key is kept.
    fn id(&self, bucket: &str, file: &Listed) -> [u8; 16] {
        let mut digest = Sha256::new();
        for part in [&self.target, bucket, &file.key, &file.etag] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        let mut id = [0; 16];
        id.iter_mut().zip(digest.finalize()).for_each(|(own, byte)| *own = byte);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(key: &str, etag: &str) -> Listed {
        Listed { key: key.to_owned(), etag: etag.to_owned(), size: 1, archived: false }
    }

    #[test]
    fn a_version_of_a_file_is_finished_for_one_target() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut state = State::open(&path, "here").unwrap();
        state.remember("b", &[file("k", "1"), file("k", "1"), file("l", "1")]).unwrap();
        drop(state);
        let state = State::open(&path, "here").unwrap();
        assert!(state.knows("b", &file("k", "1")).unwrap() && state.knows("b", &file("l", "1")).unwrap());
        assert!(!state.knows("b", &file("k", "2")).unwrap() && !state.knows("c", &file("k", "1")).unwrap());
        assert!(!State::open(&path, "there").unwrap().knows("b", &file("k", "1")).unwrap());
    }

    #[test]
    fn the_last_rate_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state"), "").unwrap();
        assert_eq!(state.rate().unwrap(), None);
        let rate = Rate { jobs: 4.0, files: 10.0, seconds: 1.5 };
        for files in [9.0, 10.0] {
            state.keep_rate(Rate { files, ..rate }).unwrap();
        }
        assert_eq!(state.rate().unwrap(), Some(rate));
    }

    #[test]
    fn a_file_that_is_no_state_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        std::fs::write(&path, "something else, long enough to be looked at ".repeat(9)).unwrap();
        let error = format!("{:#}", State::open(&path, "").unwrap_err());
        assert!(error.contains("expected a file of an earlier run"), "{error}");
    }
}
