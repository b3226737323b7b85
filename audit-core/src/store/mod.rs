//! Where records and batches wait for a person: `QUARANTINE` and `HELD`, a directory or a place in S3.
//!
//! What a method wrote is durable when it returns, so that the source may be acknowledged.

mod directory;
mod held;
mod lines;
mod probe;
mod s3;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::clock::Clock;
use crate::ledger::BatchId;
use crate::quarantine::QuarantineEntry;
use crate::record::Key;

pub use held::{HeldBatch, HeldLine};
pub use lines::{Line, Lines};
pub use probe::Probe;

/// A value of `QUARANTINE` or `HELD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A directory, made when first written to.
    Directory(PathBuf),
    /// `s3://BUCKET/PREFIX`.
    S3 {
        /// Bucket name.
        bucket: String,
        /// Prefix without slashes at its ends; may be empty.
        prefix: String,
    },
}

/// Not a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a directory or s3://BUCKET/PREFIX")]
pub struct InvalidPlace;

impl std::str::FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let Some(rest) = text.strip_prefix("s3://") else {
            let other_scheme = text.contains("://");
            return if text.is_empty() || other_scheme { Err(InvalidPlace) } else { Ok(Self::Directory(text.into())) };
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(InvalidPlace);
        }
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
    }
}

/// The store did not do what it was asked for; trying again may help.
#[derive(Debug, thiserror::Error)]
#[error("{place}: cannot {action}: {reason}")]
pub struct StoreError {
    /// The file or object.
    pub place: String,
    /// What was to be done.
    pub action: &'static str,
    /// Why it was not.
    pub reason: String,
}

impl StoreError {
    fn file(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let place = path.display().to_string();
        move |error| Self { place, action, reason: error.to_string() }
    }
}

/// The most that is read of a held batch, and of one quarantine line, in bytes.
pub const LARGEST: u64 = 128 << 20;

/// A place that can be written to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    kind: Kind,
    clock: Clock,
}

#[derive(Debug, Clone)]
enum Kind {
    Directory(PathBuf),
    S3(s3::Prefix),
}

impl Store {
    /// Opens `place`; nothing is touched yet. `client` is asked for where it is in S3.
    pub fn open(place: &Place, client: impl FnOnce() -> aws_sdk_s3::Client, clock: Clock) -> Self {
        let kind = match place {
            Place::Directory(path) => Kind::Directory(path.clone()),
            Place::S3 { bucket, prefix } => Kind::S3(s3::Prefix::new(client(), bucket, prefix)),
        };
        Self { kind, clock }
    }

    /// What time it is for entries of this store.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Adds `entries`, if any, to the quarantine.
    ///
    /// # Errors
    /// When they are not durably written, or perhaps not all; the source must not be acknowledged.
    pub async fn quarantine(&self, entries: &[QuarantineEntry]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry).map_err(|error| self.error("write an entry", &error))?;
            lines.push(b'\n');
        }
        let day = self.clock.now().to_zoned(TimeZone::UTC).date();
        match &self.kind {
            Kind::Directory(path) => {
                let path = path.join(format!("{day}.jsonl"));
                blocking(move || directory::append(&path, &lines)).await
            }
            Kind::S3(prefix) => {
                let name = format!("{}/{}.jsonl", day.strftime("%Y/%m/%d"), Uuid::new_v4());
                prefix.put(&name, lines).await
            }
        }
    }

    /// The names of the quarantine's files, oldest day first.
    ///
    /// # Errors
    /// When the store cannot be read. A directory that is not there yet has none.
    pub async fn quarantine_files(&self) -> Result<Vec<String>, StoreError> {
        self.names(".jsonl").await
    }

    /// Reads one of [`quarantine_files`](Self::quarantine_files).
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn quarantine_file(&self, name: &str) -> Result<Lines, StoreError> {
        self.open_lines(name).await
    }

    async fn open_lines(&self, name: &str) -> Result<Lines, StoreError> {
        match &self.kind {
            Kind::Directory(path) => {
                let path = path.join(name);
                let file = tokio::fs::File::open(&path).await.map_err(StoreError::file(&path, "open"))?;
                Ok(Lines::new(Box::new(file), path.display().to_string()))
            }
            Kind::S3(prefix) => {
                let body =
                    prefix.get(name).await?.ok_or_else(|| self.error("read", &format_args!("{name} is gone")))?;
                Ok(Lines::new(Box::new(body.body.into_async_read()), prefix.display(name)))
            }
        }
    }

    /// Remembers for good that these records of the quarantine are dealt with: whatever their keys stand for.
    ///
    /// # Errors
    /// When it is not durably written, or perhaps not all.
    pub async fn mark_replayed(&self, keys: &[Key]) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let lines = keys.iter().flat_map(|key| format!("{}\n", key.to_hex()).into_bytes()).collect::<Vec<u8>>();
        match &self.kind {
            Kind::Directory(path) => {
                let path = path.join("replayed.done");
                blocking(move || directory::append(&path, &lines)).await
            }
            Kind::S3(prefix) => prefix.put(&format!("replayed/{}.done", Uuid::new_v4()), lines).await,
        }
    }

    /// All that was ever given to [`mark_replayed`](Self::mark_replayed), in memory: 16 bytes and a little each.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn replayed(&self) -> Result<HashSet<Key>, StoreError> {
        let mut keys = HashSet::new();
        for name in self.names(".done").await? {
            let mut lines = self.open_lines(&name).await?;
            while let Some(line) = lines.next_text().await? {
                // A line that a crash tore marks nothing: the ledger still knows.
                let key = std::str::from_utf8(&line).ok().and_then(|hex| Uuid::try_parse(hex.trim()).ok());
                keys.extend(key.map(|key| Key(key.into_bytes())));
            }
        }
        Ok(keys)
    }

    /// Keeps a batch. Where one of its id is kept already, it gets the lines that it has not.
    ///
    /// # Errors
    /// When it is not durably written; what was kept before is still there.
    pub async fn put_held(&self, batch: HeldBatch) -> Result<(), StoreError> {
        let name = held_name(batch.batch);
        match &self.kind {
            Kind::Directory(path) => {
                let path = path.clone();
                blocking(move || directory::put_merged(&path, &name, batch)).await
            }
            Kind::S3(prefix) => prefix.put_merged(&name, batch).await,
        }
    }

    /// The ids of the batches that are kept, oldest name first.
    ///
    /// # Errors
    /// When the store cannot be read. A directory that is not there yet has none.
    pub async fn held(&self) -> Result<Vec<BatchId>, StoreError> {
        let names = self.names(".json").await?;
        let id = |name: &String| name.strip_suffix(".json").and_then(|id| Uuid::try_parse(id).ok()).map(BatchId);
        Ok(names.iter().filter_map(id).collect())
    }

    /// A batch that is kept; `None` when it is not (any more).
    ///
    /// # Errors
    /// When it cannot be read, is over [`LARGEST`], or holds something else.
    pub async fn get_held(&self, batch: BatchId) -> Result<Option<HeldBatch>, StoreError> {
        let name = held_name(batch);
        match &self.kind {
            Kind::Directory(path) => {
                let path = path.join(name);
                blocking(move || directory::get(&path)).await
            }
            Kind::S3(prefix) => Ok(prefix.get_held(&name).await?.map(|(batch, _)| batch)),
        }
    }

    /// Removes a batch that is settled; one that is gone already is no error.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn remove_held(&self, batch: BatchId) -> Result<(), StoreError> {
        let name = held_name(batch);
        match &self.kind {
            Kind::Directory(path) => {
                let path = path.clone();
                blocking(move || directory::remove(&path, &name)).await
            }
            Kind::S3(prefix) => prefix.remove(&name).await,
        }
    }

    async fn names(&self, suffix: &'static str) -> Result<Vec<String>, StoreError> {
        match &self.kind {
            Kind::Directory(path) => {
                let path = path.clone();
                blocking(move || directory::names(&path, suffix)).await
            }
            Kind::S3(prefix) => prefix.names(suffix).await,
        }
    }

    fn error(&self, action: &'static str, reason: &dyn std::fmt::Display) -> StoreError {
        let place = match &self.kind {
            Kind::Directory(path) => path.display().to_string(),
            Kind::S3(prefix) => prefix.display(""),
        };
        StoreError { place, action, reason: reason.to_string() }
    }
}

fn held_name(batch: BatchId) -> String {
    format!("{batch}.json")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let ended = |error: tokio::task::JoinError| StoreError {
        place: "store".to_owned(),
        action: "finish",
        reason: error.to_string(),
    };
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}

#[cfg(test)]
mod tests;
