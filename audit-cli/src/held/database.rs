//! What the resource server's database proves about a batch.
//!
//! The process makes a job's row, then inserts all of the batch or nothing in one transaction, then ends the job. So a row that is
//! missing proves that the batch is not in, and a row that no other job can have made proves that it is.

use anyhow::{Context, Result, anyhow};
use audit_core::ledger::BatchId;
use audit_core::record::Download;
use audit_core::sink::ogc::answer::{Answer, judge_failed_job};
use audit_core::sink::ogc::execution::title;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{Client, Config, IsolationLevel, NoTls, Transaction};
use uuid::Uuid;

use super::rows::{self, Row};

const JOBS: &str = "SELECT status::text, message::text FROM jobs_table WHERE input->>'title' = $1";

/// Batch ids begin with their time, so a later one sorts behind.
const LATER: &str = "SELECT EXISTS (SELECT FROM jobs_table WHERE input->>'title' LIKE 's3audit %' \
     AND (input->>'title') COLLATE \"C\" > $1 COLLATE \"C\")";

const ROWS: &str = "SELECT own.n, count(m.user_id) \
     FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[]) WITH ORDINALITY AS own (u, c, p, t, s, n) \
     LEFT JOIN metering m ON m.user_id = own.u AND m.collection_id = own.c AND m.api_path = own.p AND m.resp_size = own.s \
     AND m.timestamp BETWEEN own.t::timestamp - interval '1 microsecond' AND own.t::timestamp + interval '1 microsecond' \
     GROUP BY own.n ORDER BY own.n";

/// Lines of other jobs about the same items, each with how often.
const OTHERS: &str = "SELECT line, status::text, message::text, count(*) FROM jobs_table, \
     jsonb_array_elements_text(CASE jsonb_typeof(input::jsonb->'logs') WHEN 'array' THEN input::jsonb->'logs' ELSE '[]' END) AS line \
     WHERE input->>'title' IS DISTINCT FROM $1 AND btrim(split_part(line, '|', 3)) = ANY($2) \
     AND lower(btrim(split_part(line, '|', 1))) = ANY($3) GROUP BY 1, 2, 3";

/// What is known of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its rows are in.
    Inserted,
    /// None of its rows is in, nor will be.
    NotInserted,
    /// Neither is proven, and why.
    Unproven(String),
}

/// A connection to the database.
pub(super) struct Database(Client);

impl Database {
    pub(super) async fn connect(url: &SecretString) -> Result<Self> {
        // The library's own words could hold a part of the value.
        let config: Config = url.expose_secret().parse().map_err(|_| {
            anyhow!("DATABASE_URL: expected postgres://USER:PASSWORD@HOST/DATABASE, sslmode absent, disable or prefer")
        })?;
        let connected = config.connect(NoTls).await;
        let (client, connection) =
            connected.map_err(|error| anyhow!("DATABASE_URL: cannot connect: {}", words(&error)))?;
        // It ends with its client, and what breaks it shows in the client's next answer.
        tokio::spawn(connection);
        Ok(Self(client))
    }

    /// What is known of `batch`, all of it seen at one moment. `old`: no request for it can still be on its way.
    pub(super) async fn judge(&mut self, batch: BatchId, downloads: &[Download], old: bool) -> Result<Verdict> {
        let seen = async {
            let transaction =
                self.0.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
            let transaction = transaction.start().await?;
            judge(&transaction, &title(batch), &rows::of(downloads), old).await
        };
        let verdict: Result<Verdict, tokio_postgres::Error> = seen.await;
        verdict.map_err(|error| anyhow!(words(&error))).context("DATABASE_URL: jobs_table and metering cannot be read")
    }
}

async fn judge(db: &Transaction<'_>, title: &str, own: &[Row], old: bool) -> Result<Verdict, tokio_postgres::Error> {
    let jobs = db.query(JOBS, &[&title]).await?;
    if jobs.is_empty() {
        return without_job(db, title, old).await;
    }
    let mut unclear = None;
    for job in &jobs {
        let (status, message): (String, Option<String>) = (job.try_get(0)?, job.try_get(1)?);
        if status == "SUCCESSFUL" {
            return Ok(Verdict::Inserted);
        }
        if !is_disproved(&status, message.as_deref()) {
            unclear = Some(status);
        }
    }
    let Some(status) = unclear else { return Ok(Verdict::NotInserted) };
    let (there, others) = (counts(db, own).await?, others(db, title, own).await?);
    Ok(by_rows(&status, own, &there, &others))
}

/// The request may never have arrived. That this database would know is shown by a later batch in it.
async fn without_job(db: &Transaction<'_>, title: &str, old: bool) -> Result<Verdict, tokio_postgres::Error> {
    let later: bool = db.query_one(LATER, &[&title]).await?.try_get(0)?;
    Ok(if !later {
        let why =
            "it has no job in this database, and no later batch has one: is it the right database, and up to date?";
        Verdict::Unproven(why.to_owned())
    } else if !old {
        Verdict::Unproven("it has no job yet, and is younger than --older-than".to_owned())
    } else {
        Verdict::NotInserted
    })
}

/// `there`: how many rows are in the table; `others`: how many of them other jobs may have made.
fn by_rows(status: &str, own: &[Row], there: &[i64], others: &[i64]) -> Verdict {
    let missing = own.iter().zip(there).any(|(row, there)| *there < row.count);
    let ours = there.iter().zip(others).any(|(there, others)| there > others);
    match (missing, ours) {
        (false, true) => Verdict::Inserted,
        (true, _) if status == "FAILED" => Verdict::NotInserted,
        (true, _) => Verdict::Unproven(format!("its job is {status} and may still insert")),
        (false, false) => Verdict::Unproven(format!("its job is {status}, and other batches hold equal rows")),
    }
}

fn is_disproved(status: &str, message: Option<&str>) -> bool {
    status == "FAILED"
        && matches!(judge_failed_job(message.unwrap_or_default()), Answer::Refused(_) | Answer::Transient { .. })
}

async fn counts(db: &Transaction<'_>, own: &[Row]) -> Result<Vec<i64>, tokio_postgres::Error> {
    let users: Vec<Uuid> = own.iter().map(|row| row.user).collect();
    let collections: Vec<Uuid> = own.iter().map(|row| row.collection).collect();
    let paths: Vec<String> = own.iter().map(Row::path).collect();
    let times: Vec<&str> = own.iter().map(|row| row.time.as_str()).collect();
    let sizes: Vec<i64> = own.iter().map(|row| row.bytes).collect();
    let rows = db.query(ROWS, &[&users, &collections, &paths, &times, &sizes]).await?;
    rows.iter().map(|row| row.try_get(1)).collect()
}

async fn others(db: &Transaction<'_>, title: &str, own: &[Row]) -> Result<Vec<i64>, tokio_postgres::Error> {
    let items: Vec<&str> = own.iter().map(|row| row.item.trim()).collect();
    let users: Vec<String> = own.iter().map(|row| row.user.to_string()).collect();
    let mut counts = vec![0; own.len()];
    for job in db.query(OTHERS, &[&title, &items, &users]).await? {
        let (line, status): (String, String) = (job.try_get(0)?, job.try_get(1)?);
        let (message, times): (Option<String>, i64) = (job.try_get(2)?, job.try_get(3)?);
        if is_disproved(&status, message.as_deref()) {
            continue;
        }
        for (count, row) in counts.iter_mut().zip(own) {
            if row.may_be_of(&line) {
                *count += times;
            }
        }
    }
    Ok(counts)
}

/// What PostgreSQL said, without names and values of the connection.
fn words(error: &tokio_postgres::Error) -> String {
    match error.code().map(tokio_postgres::error::SqlState::code) {
        Some("28P01" | "28000") => "the user or password is refused".to_owned(),
        Some("42P01") => "there are no such tables".to_owned(),
        Some("42501") => "the user may not read them".to_owned(),
        Some("3D000") => "there is no such database".to_owned(),
        Some(code) => format!("PostgreSQL answered with SQLSTATE {code}"),
        None => {
            let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
            io.map_or_else(|| "the connection failed".to_owned(), |io| io.kind().to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(count: i64) -> Row {
        let time = "2025-10-27T10:12:30Z".to_owned();
        Row { user: Uuid::nil(), collection: Uuid::nil(), item: "i".into(), time, bytes: 1, count }
    }

    #[test]
    fn rows_prove_only_what_nothing_else_explains() {
        let judged = |status, there: &[i64], others: &[i64]| match by_rows(status, &[row(2), row(1)], there, others) {
            Verdict::Inserted => "inserted",
            Verdict::NotInserted => "not inserted",
            Verdict::Unproven(_) => "unproven",
        };
        assert_eq!(judged("FAILED", &[2, 1], &[0, 0]), "inserted");
        assert_eq!(judged("FAILED", &[3, 5], &[1, 5]), "inserted");
        assert_eq!(judged("FAILED", &[3, 5], &[3, 5]), "unproven");
        assert_eq!(judged("FAILED", &[1, 1], &[0, 0]), "not inserted");
        assert_eq!(judged("FAILED", &[0, 0], &[0, 0]), "not inserted");
        assert_eq!(judged("RUNNING", &[0, 0], &[0, 0]), "unproven");
        assert_eq!(judged("RUNNING", &[2, 1], &[0, 0]), "inserted");
    }

    #[test]
    fn lines_of_other_senders_are_equal_rows_where_they_may_be() {
        let nil = Uuid::nil();
        let may = |time: &str| row(1).may_be_of(&format!(" {nil} | {nil} |i|{time}|1|x"));
        assert!(may("2025-10-27T10:12:30.0000004Z") && may("2025-10-27T12:12:30+02:00") && may("nonsense"));
        assert!(!may("2025-10-27T10:12:31Z"));
    }
}
