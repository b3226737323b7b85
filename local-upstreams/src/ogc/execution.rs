//! `POST /processes/{id}/execution`: the process `AuditLogsIngestion`, synchronous or not.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::refusal::{Refusal, problem};
use super::{authenticated, entry, java, location};
use crate::Shared;
use crate::faults::{Fault, Trouble};
use crate::store::{NewJob, Status};

const STARTED: &str = "Starting Audit Logs Ingestion process.";

/// Percent done while running, and when the rows are in.
const PROGRESS: (f64, f64) = (33.0, 66.0);

/// Checks in the resource server's order: token, process, role, body; then runs the process.
pub(crate) async fn execute(
    State(app): State<Shared>,
    Path(process): Path<String>,
    fault: Option<Extension<Arc<Fault>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = fault.map(|Extension(fault)| fault);
    let trouble = fault.as_deref().map(|fault| fault.trouble_for(&body)).unwrap_or_default();
    let run = match accepted(&app, &process, &headers, &body, trouble).await {
        Ok(run) => run,
        Err(response) => return response,
    };
    let location = location(&app, &headers, run.job);
    if run.process == app.config.async_process {
        let answer = run.accepted_answer(&location);
        let job = tokio::spawn(run.in_the_background());
        if fault.is_some_and(|fault| fault.waits_for_commit()) {
            // The job's own outcome is what its row says.
            let _ = job.await;
        }
        return answer;
    }
    match run.execute().await {
        Ok(answer) => (StatusCode::OK, [(LOCATION, location)], Json(answer)).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// One execution of the process, its job made.
struct Run {
    app: Shared,
    process: Uuid,
    job: Uuid,
    /// `inputs.logs`, whatever it is.
    logs: Value,
    trouble: Trouble,
}

async fn accepted(
    app: &Shared,
    process: &str,
    headers: &HeaderMap,
    body: &[u8],
    trouble: Trouble,
) -> Result<Run, Response> {
    let claims = authenticated(headers).map_err(IntoResponse::into_response)?;
    let process = java::uuid(process).ok_or_else(|| Refusal::PROCESS_ID.into_response())?;
    if trouble.lookup_failed {
        return Err(problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Internal Server Error",
            "Internal Server Error",
            "The process could not be looked up",
        ));
    }
    if process != app.config.sync_process && process != app.config.async_process {
        return Err(Refusal::PROCESS_UNKNOWN.into_response());
    }
    if claims.role != "admin" || !claims.is_rs_token() {
        return Err(Refusal::NOT_RS_ADMIN.into_response());
    }
    let mut input = inputs(body).map_err(IntoResponse::into_response)?;
    let logs = input.get("logs").cloned().ok_or_else(|| Refusal::LOGS_MISSING.into_response())?;
    input.insert("processId".to_owned(), json!(process));
    input.insert("userId".to_owned(), json!(claims.sub));
    let job = Uuid::new_v4();
    let new = NewJob { id: job, process_id: process, user_id: claims.sub, input: Value::Object(input) };
    if trouble.job_not_made {
        return Err(Refusal::UNEXPLAINED.into_response());
    }
    app.store.create_job(new).await.map_err(|error| {
        tracing::warn!(error = format!("{error:#}"), "a job could not be made");
        Refusal::UNEXPLAINED.into_response()
    })?;
    Ok(Run { app: Arc::clone(app), process, job, logs, trouble })
}

fn inputs(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_slice::<Map<String, Value>>(body).ok().and_then(|mut body| body.remove("inputs")) {
        Some(Value::Object(inputs)) => Ok(inputs),
        _ => Err(Refusal::INPUTS_MISSING),
    }
}

impl Run {
    fn accepted_answer(&self, location: &str) -> Response {
        let answer = json!({
            "jobId": self.job,
            "processId": self.process,
            "type": "PROCESS",
            "status": Status::Accepted.name(),
        });
        (StatusCode::CREATED, [(LOCATION, location)], Json(answer)).into_response()
    }

    /// Nobody waits for the outcome: the job's row has it.
    async fn in_the_background(self) {
        let step = Duration::from_millis(self.app.config.job_step_ms);
        tokio::time::sleep(step).await;
        if let Err(refusal) = self.execute_slowly(step).await {
            tracing::info!(reason = refusal.description, "an asynchronous job failed");
        }
    }

    async fn execute(&self) -> Result<Value, Refusal> {
        self.execute_slowly(Duration::ZERO).await
    }

    /// Runs the process; a refusal is also the job's message.
    async fn execute_slowly(&self, running: Duration) -> Result<Value, Refusal> {
        self.update(Status::Running, PROGRESS.0, STARTED).await?;
        tokio::time::sleep(running).await;
        if self.trouble.job_stuck {
            return pending().await;
        }
        let inserted = match self.insert().await {
            Ok(inserted) => inserted,
            Err(refusal) => {
                self.update(Status::Failed, PROGRESS.0, refusal.description).await?;
                return Err(refusal);
            }
        };
        if self.trouble.job_failed_after_commit {
            self.update(Status::Failed, PROGRESS.0, "Failed to update job progress: connection lost").await?;
            return Err(Refusal::UNEXPLAINED);
        }
        let s = if inserted == 1 { "" } else { "s" };
        let message = format!("{inserted} log{s} inserted into metering table");
        self.update(Status::Running, PROGRESS.1, &message).await?;
        let completed = format!("Completed Audit Logs Ingestion - {inserted} log{s} inserted");
        self.update(Status::Successful, 100.0, &completed).await?;
        Ok(json!({
            "status": "successful",
            "message": message,
            "logsInserted": inserted,
            "jobID": self.job,
            "type": "application/json",
        }))
    }

    /// Inserts every log or none; how many were sent.
    async fn insert(&self) -> Result<usize, Refusal> {
        let logs = match &self.logs {
            Value::Array(logs) => logs.as_slice(),
            Value::Null => &[],
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                return Err(Refusal::LOGS_NOT_AN_ARRAY);
            }
        };
        if logs.is_empty() {
            return Ok(0);
        }
        if self.trouble.entry_unreadable {
            return Err(Refusal::ENTRY_UNREADABLE);
        }
        let rows = entry::rows(logs)?;
        if self.trouble.database_down {
            return Err(Refusal::INSERTION_FAILED);
        }
        self.app.store.insert(rows).await.map_err(|error| {
            tracing::warn!(error = format!("{error:#}"), "an insert failed");
            Refusal::INSERTION_FAILED
        })?;
        Ok(logs.len())
    }

    async fn update(&self, status: Status, progress: f64, message: &str) -> Result<(), Refusal> {
        self.app.store.update_job(self.job, status, progress, message).await.map_err(|error| {
            tracing::warn!(error = format!("{error:#}"), "a job could not be kept up");
            Refusal::UNEXPLAINED
        })
    }
}
