//! What can go wrong with the spool. No error repeats what an entry holds.

use std::io;

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

/// Why the spool did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// Another process has it.
    #[error("spool {0}: in use by another process; each receiver needs a SPOOL directory of its own")]
    InUse(String),
    /// The directory or a file in it cannot be used.
    #[error("spool {path}: {reason}")]
    Directory {
        /// Which.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The database is damaged, or none.
    #[error("spool {path}: damaged ({reason}); move the directory away to start afresh, and keep it for recovery")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer version of this program has written it.
    #[error("spool {path}: written by a newer version (format {found}, expected {expected})")]
    Newer {
        /// The file.
        path: String,
        /// The format it has.
        found: i64,
        /// The newest format known here.
        expected: i64,
    },
    /// No room: nothing was kept. Transient.
    #[error("spool: the disk is full")]
    Full,
    /// The disk or the database failed: nothing was kept. Maybe transient.
    #[error("spool: {0}")]
    Failed(String),
    /// The writer has ended.
    #[error("spool: closed")]
    Closed,
}

impl SpoolError {
    pub(super) fn directory(path: &std::path::Path, error: &io::Error) -> Self {
        Self::Directory { path: path.display().to_string(), reason: error.to_string() }
    }
}

impl From<rusqlite::Error> for SpoolError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error() {
            // The index of the journal is a file too, made longer when the database is opened.
            Some(code) if code.code == ErrorCode::DiskFull || code.extended_code == SQLITE_IOERR_SHMSIZE => Self::Full,
            Some(code) => Self::Failed(code.to_string()),
            None => Self::Failed(error.to_string()),
        }
    }
}
