//! Whether a place can be written to: by a probe that is removed again.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{Kind, Store, StoreError, blocking};

/// What came of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// Written and removed again; where.
    Removed(String),
    /// Written, but it could not be removed: its name, and why not.
    Left(String, String),
    /// The directory is not there yet, and will be made where a directory can be made now; where.
    NotYet(String),
}

impl Store {
    /// Writes a few bytes under a name that stands for nothing, and removes them again.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn probe(&self) -> Result<Probe, StoreError> {
        match &self.kind {
            Kind::Directory(path) => {
                let path = path.clone();
                blocking(move || directory(&path)).await
            }
            Kind::S3(prefix) => {
                let name = format!("doctor/{}.probe", Uuid::new_v4());
                prefix.put(&name, b"written by s3audit doctor; may be removed\n".to_vec()).await?;
                Ok(match prefix.remove(&name).await {
                    Ok(()) => Probe::Removed(prefix.display("")),
                    Err(error) => Probe::Left(prefix.display(&name), error.reason),
                })
            }
        }
    }
}

fn directory(path: &Path) -> Result<Probe, StoreError> {
    let there = path.is_dir();
    let place = if there { path.to_owned() } else { nearest(path) };
    // Gone with its value.
    tempfile::Builder::new()
        .prefix(".s3audit-")
        .tempfile_in(&place)
        .map_err(StoreError::file(path, if there { "write" } else { "make the directory" }))?;
    let name = path.display().to_string();
    Ok(if there { Probe::Removed(name) } else { Probe::NotYet(name) })
}

/// The nearest thing above `path` that exists; where that is no directory, none can be made in it.
fn nearest(path: &Path) -> PathBuf {
    let above = path.ancestors().find(|own| own.exists());
    above.unwrap_or(Path::new(".")).to_owned()
}
