//! The tables in an embedded SQLite file, refusing what PostgreSQL would refuse.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::{COUNTED_ROWS, CountedRow, Job, NewJob, Status};
use crate::ogc::entry::Row;

const SCHEMA: &str = "
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS metering (user_id uuid, collection_id uuid, api_path text, timestamp timestamp, resp_size bigint);
CREATE TABLE IF NOT EXISTS jobs_table (
  id uuid PRIMARY KEY, process_id uuid NOT NULL, user_id uuid NOT NULL,
  created_at text NOT NULL, updated_at text NOT NULL, started_at text, finished_at text,
  input jsonb NOT NULL, output jsonb, progress double precision NOT NULL, status text NOT NULL,
  type text NOT NULL, message text NOT NULL);
CREATE VIEW IF NOT EXISTS auditing AS SELECT * FROM metering;";

const INSERT: &str = "INSERT INTO metering (user_id, collection_id, api_path, timestamp, resp_size) \
     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";

const CREATE_JOB: &str = "INSERT INTO jobs_table (id, process_id, user_id, input, created_at, updated_at, progress, \
     status, type, message) VALUES (?1, ?2, ?3, ?4, strftime('%FT%R:%fZ'), strftime('%FT%R:%fZ'), 0, 'ACCEPTED', 'PROCESS', 'Process Accepted.')";

const UPDATE_JOB: &str = "UPDATE jobs_table SET status = ?2, message = ?3, progress = ?4, \
     updated_at = strftime('%FT%R:%fZ'), \
     started_at = CASE WHEN ?2 = 'RUNNING' THEN COALESCE(started_at, strftime('%FT%R:%fZ')) ELSE started_at END, \
     finished_at = CASE WHEN ?2 IN ('SUCCESSFUL', 'FAILED') THEN strftime('%FT%R:%fZ') END WHERE id = ?1";

const JOB: &str = "SELECT id, process_id, user_id, created_at, updated_at, started_at, finished_at, input, progress, \
     status, type, message FROM jobs_table WHERE id = ?1";

/// The years a PostgreSQL `timestamp` holds.
const YEARS: std::ops::RangeInclusive<i64> = -4712..=294_276;

/// One connection, used by one request at a time.
pub(crate) struct Sqlite(Arc<Mutex<Connection>>);

impl Sqlite {
    pub(crate) async fn open(file: PathBuf) -> anyhow::Result<Self> {
        let opened = tokio::task::spawn_blocking(move || {
            let open = || -> rusqlite::Result<Connection> {
                let connection = Connection::open(&file)?;
                connection.busy_timeout(std::time::Duration::from_secs(5))?;
                connection.execute_batch(SCHEMA)?;
                Ok(connection)
            };
            open().with_context(|| format!("the database file {} could not be opened", file.display()))
        });
        Ok(Self(Arc::new(Mutex::new(opened.await??))))
    }

    /// Runs `work` where it may block.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let connection = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner)))
            .await?
    }

    pub(crate) async fn insert(&self, rows: Vec<Row>) -> anyhow::Result<()> {
        self.with(move |connection| {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction.prepare_cached(INSERT)?;
                for row in rows {
                    ensure!(!row.api_path.contains('\0'), "api_path: a text can't hold the character U+0000");
                    ensure!(YEARS.contains(&row.timestamp.year), "timestamp: out of range");
                    insert.execute(params![
                        row.user_id.to_string(),
                        row.collection_id.to_string(),
                        row.api_path,
                        row.timestamp.to_string(),
                        row.resp_size
                    ])?;
                }
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    pub(crate) async fn create_job(&self, job: NewJob) -> anyhow::Result<()> {
        self.with(move |connection| {
            let NewJob { id, process_id, user_id, input } = job;
            let input = input.to_string();
            ensure!(!input.contains(r"\u0000"), "input: a jsonb can't hold the character U+0000");
            connection
                .execute(CREATE_JOB, params![id.to_string(), process_id.to_string(), user_id.to_string(), input])?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn update_job(
        &self,
        id: Uuid,
        status: Status,
        progress: f64,
        message: String,
    ) -> anyhow::Result<()> {
        self.with(move |connection| {
            connection.execute(UPDATE_JOB, params![id.to_string(), status.name(), message, progress])?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn job(&self, id: Uuid) -> anyhow::Result<Option<Job>> {
        self.with(move |connection| {
            Ok(connection.prepare_cached(JOB)?.query_row([id.to_string()], job_of).optional()?)
        })
        .await
    }

    pub(crate) async fn counted_rows(&self) -> anyhow::Result<Vec<CountedRow>> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(COUNTED_ROWS)?;
            let rows = statement.query_map([], |row| {
                Ok(CountedRow {
                    user_id: row.get(0)?,
                    collection_id: row.get(1)?,
                    api_path: row.get(2)?,
                    timestamp: row.get(3)?,
                    resp_size: row.get(4)?,
                    count: row.get(5)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(crate) async fn clear(&self) -> anyhow::Result<()> {
        self.with(|connection| {
            Ok(connection.execute_batch("BEGIN; DELETE FROM metering; DELETE FROM jobs_table; COMMIT")?)
        })
        .await
    }
}

fn job_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        id: parsed(row, 0)?,
        process_id: parsed(row, 1)?,
        user_id: parsed(row, 2)?,
        created_at: row.get(3)?,
        updated_at: row.get(4)?,
        started_at: row.get(5)?,
        finished_at: row.get(6)?,
        input: parsed(row, 7)?,
        progress: row.get(8)?,
        status: row.get(9)?,
        kind: row.get(10)?,
        message: row.get(11)?,
    })
}

fn parsed<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}
