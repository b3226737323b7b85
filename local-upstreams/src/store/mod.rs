//! Where metering rows and jobs are kept: PostgreSQL or an embedded SQLite file, with the same two tables.

mod postgres;
mod sqlite;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::config::Config;
use crate::ogc::entry::Row;

/// The tables, in either database.
pub(crate) enum Store {
    Postgres(postgres::Postgres),
    Sqlite(sqlite::Sqlite),
}

/// A job as it begins.
pub(crate) struct NewJob {
    pub(crate) id: Uuid,
    pub(crate) process_id: Uuid,
    pub(crate) user_id: Uuid,
    /// The whole `inputs` object.
    pub(crate) input: Value,
}

/// A job's life, in the resource server's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Accepted,
    Running,
    Successful,
    Failed,
}

impl Status {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::Running => "RUNNING",
            Self::Successful => "SUCCESSFUL",
            Self::Failed => "FAILED",
        }
    }
}

/// A job's row; times are ISO-8601 in UTC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Job {
    pub(crate) id: Uuid,
    pub(crate) process_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) started_at: Option<String>,
    pub(crate) finished_at: Option<String>,
    #[serde(skip)]
    pub(crate) input: Value,
    pub(crate) progress: f64,
    pub(crate) status: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) message: String,
}

/// Equal rows of the metering table, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct CountedRow {
    pub(crate) user_id: String,
    pub(crate) collection_id: String,
    pub(crate) api_path: String,
    pub(crate) timestamp: String,
    pub(crate) resp_size: i64,
    pub(crate) count: i64,
}

/// Both databases read this: PostgreSQL prints what SQLite keeps as text.
const COUNTED_ROWS: &str = "SELECT CAST(user_id AS text), CAST(collection_id AS text), api_path, \
     CAST(timestamp AS text), resp_size, count(*) FROM metering \
     GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5";

impl Store {
    /// Opens the configured database and makes the tables that are missing.
    ///
    /// # Errors
    /// When the database can't be reached, opened or written.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        Ok(match &config.database_url {
            Some(url) => Self::Postgres(postgres::Postgres::connect(url).await?),
            None => Self::Sqlite(sqlite::Sqlite::open(config.database.clone()).await?),
        })
    }

    /// Inserts all rows in one transaction, or none.
    ///
    /// # Errors
    /// When the database refuses a row or fails; nothing was inserted then.
    pub(crate) async fn insert(&self, rows: Vec<Row>) -> anyhow::Result<()> {
        match self {
            Self::Postgres(store) => store.insert(&rows).await,
            Self::Sqlite(store) => store.insert(rows).await,
        }
    }

    /// Makes an ACCEPTED job.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn create_job(&self, job: NewJob) -> anyhow::Result<()> {
        match self {
            Self::Postgres(store) => store.create_job(&job).await,
            Self::Sqlite(store) => store.create_job(job).await,
        }
    }

    /// Moves a job on; `progress` in percent.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn update_job(
        &self,
        id: Uuid,
        status: Status,
        progress: f64,
        message: &str,
    ) -> anyhow::Result<()> {
        match self {
            Self::Postgres(store) => store.update_job(id, status, progress, message).await,
            Self::Sqlite(store) => store.update_job(id, status, progress, message.to_owned()).await,
        }
    }

    /// The job of that id.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn job(&self, id: Uuid) -> anyhow::Result<Option<Job>> {
        match self {
            Self::Postgres(store) => store.job(id).await,
            Self::Sqlite(store) => store.job(id).await,
        }
    }

    /// Every distinct metering row with its count, ordered.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn counted_rows(&self) -> anyhow::Result<Vec<CountedRow>> {
        match self {
            Self::Postgres(store) => store.counted_rows().await,
            Self::Sqlite(store) => store.counted_rows().await,
        }
    }

    /// Removes all rows and jobs.
    ///
    /// # Errors
    /// When the database fails, or its tables were not made by this program: they may be somebody's real ones.
    pub(crate) async fn clear(&self) -> anyhow::Result<()> {
        match self {
            Self::Postgres(store) => store.clear().await,
            Self::Sqlite(store) => store.clear().await,
        }
    }
}
