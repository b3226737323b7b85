//! The metering sink of one test: stand-ins of auth server and resource server over a PostgreSQL database of its own, and
//! a place for what is quarantined and held.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::fixture::{self, Get, Rows};
use crate::process::Directory;
use crate::{Database, Postgres, Upstreams};

/// The process that answers after its commit.
pub const SYNC_PROCESS: &str = "/processes/5a6b1d0e-6c0f-4f8e-9b55-0d7c1a2e3f01/execution";
/// The process that answers before anything is checked.
pub const ASYNC_PROCESS: &str = "/processes/5a6b1d0e-6c0f-4f8e-9b55-0d7c1a2e3f02/execution";
/// The client's secret, which must never be seen.
pub const CLIENT_SECRET: &str = "local-secret";

const ROWS: &str = "SELECT user_id::text, collection_id::text, api_path, \
     to_char(timestamp, 'YYYY-MM-DD\"T\"HH24:MI:SS'), resp_size, count(*) FROM metering GROUP BY 1, 2, 3, 4, 5";

/// A running sink.
#[derive(Debug)]
pub struct Metering {
    upstreams: Upstreams,
    database: Database,
    place: Directory,
}

impl Metering {
    /// Starts one.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub async fn start() -> Result<Self> {
        let database = Postgres::shared().await?.database().await?;
        let upstreams = Upstreams::start(&[("DATABASE_URL", database.url())]).await?;
        Ok(Self { upstreams, database, place: Directory::new()? })
    }

    /// The stand-ins, to look at or to make fail.
    #[must_use]
    pub fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    /// `DATABASE_URL` of its database.
    #[must_use]
    pub fn database_url(&self) -> &str {
        self.database.url()
    }

    /// A directory for this test's files.
    #[must_use]
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// The variables that direct a program to it.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let own = [
            ("AUTH_URL", self.upstreams.url("/auth/v1/token")),
            ("CLIENT_ID", "local-client".to_owned()),
            ("CLIENT_SECRET", CLIENT_SECRET.to_owned()),
            ("AUTH_ITEM_ID", "localhost".to_owned()),
            ("AUTH_ITEM_TYPE", "resource_server".to_owned()),
            ("AUTH_ROLE", "admin".to_owned()),
            ("PROCESS_API_URL", self.upstreams.url(SYNC_PROCESS)),
            ("QUARANTINE", self.path("quarantine").display().to_string()),
            ("HELD", self.path("held").display().to_string()),
        ];
        own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Checks that the table has one row for each of `gets`, and no other.
    ///
    /// # Errors
    /// When it has not; the message says what is missing and what is too many.
    pub async fn has_exactly<'a>(&self, gets: impl IntoIterator<Item = &'a Get>) -> Result<()> {
        let (expected, found) = (fixture::rows(gets), self.rows().await?);
        let without = |one: &Rows, other: &Rows| {
            let more = |(row, count): (&_, &u64)| count.saturating_sub(other.get(row).copied().unwrap_or(0));
            let rows = one.iter().map(|(row, count)| (row.clone(), more((row, count))));
            rows.filter(|(_, more)| *more > 0).collect::<Vec<_>>()
        };
        let (missing, surplus) = (without(&expected, &found), without(&found, &expected));
        if missing.is_empty() && surplus.is_empty() {
            return Ok(());
        }
        let shown = |rows: &[_]| format!("{} ({:?})", rows.len(), rows.iter().take(3).collect::<Vec<_>>());
        bail!("rows missing: {}; too many: {}", shown(&missing), shown(&surplus))
    }

    /// The table's rows.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rows(&self) -> Result<Rows> {
        let rows = self.database.connect().await?.query(ROWS, &[]).await.context("rows of metering")?;
        rows.iter()
            .map(|row| {
                let own =
                    (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get::<_, i64>(4)?);
                Ok((own, u64::try_from(row.try_get::<_, i64>(5)?)?))
            })
            .collect()
    }

    /// How many requests for execution there were, whatever was answered.
    ///
    /// # Errors
    /// When the stand-ins do not answer.
    pub async fn posts(&self) -> Result<u64> {
        let requests = self.upstreams.get("/_dev/requests").await?;
        let answers = requests.get("execution").and_then(Value::as_object);
        Ok(answers.into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum())
    }

    /// The lines in quarantine, in the order of writing.
    ///
    /// # Errors
    /// When one is no JSON.
    pub fn quarantined(&self) -> Result<Vec<Value>> {
        let mut lines = Vec::new();
        for file in files(&self.path("quarantine"))? {
            let text = std::fs::read_to_string(&file)?;
            for line in text.lines() {
                lines.push(serde_json::from_str(line).with_context(|| format!("{}: {line}", file.display()))?);
            }
        }
        Ok(lines)
    }

    /// The held batches.
    ///
    /// # Errors
    /// When one is no JSON.
    pub fn held(&self) -> Result<Vec<Value>> {
        let read = |file: PathBuf| {
            let text = std::fs::read(&file)?;
            serde_json::from_slice(&text).with_context(|| file.display().to_string())
        };
        files(&self.path("held"))?.into_iter().map(read).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }
}

/// The files in `folder` by name; none where there is no folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut files: Vec<_> = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.is_file());
    files.sort();
    Ok(files)
}
