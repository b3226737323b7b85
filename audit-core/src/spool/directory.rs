//! The spool's directory: who may read it, and who has it.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::SpoolError;

/// A directory with a spool in it, and the lock on it for as long as this lives.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: Option<File>,
}

impl Directory {
    /// Takes the directory for this process, making it where needed. The system frees the lock however the process ends.
    pub(super) fn lock(path: &Path) -> Result<Self, SpoolError> {
        let failed = |error: &std::io::Error| SpoolError::directory(path, error);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| failed(&error))?;
        restrict(path).map_err(|error| failed(&error))?;
        let lock = private().open(path.join("lock")).map_err(|error| failed(&error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpoolError::InUse(path.display().to_string())),
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        let own = Self { path: path.to_owned(), _lock: Some(lock) };
        // Made here and not by SQLite, whose journals then take over its mode.
        private().open(own.database()).map_err(|error| failed(&error))?;
        Ok(own)
    }

    /// A directory that another process has.
    pub(super) fn beside(path: &Path) -> Result<Self, SpoolError> {
        let own = Self { path: path.to_owned(), _lock: None };
        std::fs::metadata(own.database()).map_err(|error| SpoolError::directory(path, &error))?;
        Ok(own)
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join("spool.db")
    }

    pub(super) fn reserve(&self) -> PathBuf {
        self.path.join("reserve")
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

/// Closes the directory to others. Where it belongs to somebody else (a mounted volume), the modes of the files must do.
fn restrict(path: &Path) -> std::io::Result<()> {
    let others = std::fs::metadata(path)?.permissions().mode() & 0o077;
    if others == 0 {
        return Ok(());
    }
    match std::fs::set_permissions(path, Permissions::from_mode(0o700)) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}
