//! The tables in PostgreSQL.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};
use tokio::sync::Semaphore;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use super::{COUNTED_ROWS, CountedRow, Job, NewJob, Status};
use crate::ogc::entry::Row;

const CONNECTIONS: usize = 8;

/// Marks tables as made by this program, so that no others are ever emptied.
const OURS: &str = "made by local-upstreams";

/// One program at a time makes tables: `IF NOT EXISTS` alone fails when two begin together.
const SCHEMA: &str = "
BEGIN;
SELECT pg_advisory_xact_lock(7463829105);
DO $$ BEGIN
  IF to_regclass('metering') IS NULL THEN
    CREATE TABLE metering (user_id uuid, collection_id uuid, api_path text, timestamp timestamp, resp_size bigint);
    COMMENT ON TABLE metering IS 'made by local-upstreams';
  END IF;
  IF to_regclass('jobs_table') IS NULL THEN
    CREATE TABLE jobs_table (
      id uuid PRIMARY KEY, process_id uuid NOT NULL, user_id uuid NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
      started_at timestamptz, finished_at timestamptz,
      input jsonb NOT NULL, output jsonb, progress double precision NOT NULL, status text NOT NULL,
      type text NOT NULL, message text NOT NULL);
    COMMENT ON TABLE jobs_table IS 'made by local-upstreams';
  END IF;
  IF to_regclass('auditing') IS NULL THEN
    CREATE VIEW auditing AS SELECT * FROM metering;
  END IF;
END $$;
COMMIT;";

const INSERT: &str = "INSERT INTO metering (user_id, collection_id, api_path, timestamp, resp_size) \
     SELECT u, c, p, t::timestamp, s \
     FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[]) AS new (u, c, p, t, s) \
     ON CONFLICT DO NOTHING";

const UPDATE_JOB: &str = "UPDATE jobs_table SET status = $2, message = $3, progress = $4, updated_at = now(), \
     started_at = CASE WHEN $2 = 'RUNNING' THEN COALESCE(started_at, now()) ELSE started_at END, \
     finished_at = CASE WHEN $2 IN ('SUCCESSFUL', 'FAILED') THEN now() END WHERE id = $1";

const JOB: &str = "SELECT id, process_id, user_id, iso(created_at), iso(updated_at), iso(started_at), \
     iso(finished_at), input, progress, status, type, message FROM jobs_table WHERE id = $1";

/// A few connections, opened as they are needed and opened again when they broke.
pub(crate) struct Postgres {
    url: String,
    idle: Mutex<Vec<Client>>,
    permits: Semaphore,
}

impl Postgres {
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        let store = Self { url: url.to_owned(), idle: Mutex::default(), permits: Semaphore::const_new(CONNECTIONS) };
        store
            .with(async |client| client.batch_execute(SCHEMA).await)
            .await
            .context("the database of DATABASE_URL could not be prepared")?;
        Ok(store)
    }

    /// Lends a connection. One whose work failed or was broken off is not used again.
    async fn with<T, E: Into<anyhow::Error>>(
        &self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, E>,
    ) -> anyhow::Result<T> {
        let _permit = self.permits.acquire().await?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut client = match idle.filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.open().await?,
        };
        let result = work(&mut client).await.map_err(Into::into)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        Ok(result)
    }

    async fn open(&self) -> anyhow::Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
        // It ends with its client, and what breaks it shows in the client's next answer.
        tokio::spawn(connection);
        Ok(client)
    }

    pub(crate) async fn insert(&self, rows: &[Row]) -> anyhow::Result<()> {
        let users: Vec<Uuid> = rows.iter().map(|row| row.user_id).collect();
        let collections: Vec<Uuid> = rows.iter().map(|row| row.collection_id).collect();
        let paths: Vec<&str> = rows.iter().map(|row| row.api_path.as_str()).collect();
        let times: Vec<String> = rows.iter().map(|row| row.timestamp.to_string()).collect();
        let sizes: Vec<i64> = rows.iter().map(|row| row.resp_size).collect();
        self.with(async |client| {
            let transaction = client.transaction().await?;
            transaction.execute(INSERT, &[&users, &collections, &paths, &times, &sizes]).await?;
            transaction.commit().await
        })
        .await
    }

    pub(crate) async fn create_job(&self, job: &NewJob) -> anyhow::Result<()> {
        self.with(async |client| {
            client
                .execute(
                    "INSERT INTO jobs_table (id, process_id, user_id, input, progress, status, type, message) \
                     VALUES ($1, $2, $3, $4, 0, 'ACCEPTED', 'PROCESS', 'Process Accepted.')",
                    &[&job.id, &job.process_id, &job.user_id, &job.input],
                )
                .await
        })
        .await?;
        Ok(())
    }

    pub(crate) async fn update_job(
        &self,
        id: Uuid,
        status: Status,
        progress: f64,
        message: &str,
    ) -> anyhow::Result<()> {
        self.with(async |client| client.execute(UPDATE_JOB, &[&id, &status.name(), &message, &progress]).await).await?;
        Ok(())
    }

    pub(crate) async fn job(&self, id: Uuid) -> anyhow::Result<Option<Job>> {
        let row = self.with(async |client| client.query_opt(&job_query(), &[&id]).await).await?;
        row.map(|row| {
            Ok(Job {
                id: row.try_get(0)?,
                process_id: row.try_get(1)?,
                user_id: row.try_get(2)?,
                created_at: row.try_get(3)?,
                updated_at: row.try_get(4)?,
                started_at: row.try_get(5)?,
                finished_at: row.try_get(6)?,
                input: row.try_get(7)?,
                progress: row.try_get(8)?,
                status: row.try_get(9)?,
                kind: row.try_get(10)?,
                message: row.try_get(11)?,
            })
        })
        .transpose()
    }

    pub(crate) async fn counted_rows(&self) -> anyhow::Result<Vec<CountedRow>> {
        let rows = self.with(async |client| client.query(COUNTED_ROWS, &[]).await).await?;
        rows.into_iter()
            .map(|row| {
                Ok(CountedRow {
                    user_id: row.try_get(0)?,
                    collection_id: row.try_get(1)?,
                    api_path: row.try_get(2)?,
                    timestamp: row.try_get(3)?,
                    resp_size: row.try_get(4)?,
                    count: row.try_get(5)?,
                })
            })
            .collect()
    }

    pub(crate) async fn clear(&self) -> anyhow::Result<()> {
        self.with(async |client| -> anyhow::Result<()> {
            let ours: bool = client
                .query_one(
                    "SELECT obj_description('metering'::regclass) IS NOT DISTINCT FROM $1 \
                     AND obj_description('jobs_table'::regclass) IS NOT DISTINCT FROM $1",
                    &[&OURS],
                )
                .await?
                .try_get(0)?;
            ensure!(ours, "the tables were not made by this program, so they are not emptied");
            client.batch_execute("BEGIN; DELETE FROM metering; DELETE FROM jobs_table; COMMIT").await?;
            Ok(())
        })
        .await
    }
}

/// The query for a job, its times spelled as ISO-8601 in UTC.
fn job_query() -> String {
    let iso = |column: &str| format!(r#"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#);
    ["created_at", "updated_at", "started_at", "finished_at"]
        .iter()
        .fold(JOB.to_owned(), |query, column| query.replace(&format!("iso({column})"), &iso(column)))
}
