//! `GET /processes/{id}`: what the process is called, and whether it answers before or after its work. Needs no token.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::refusal::{Refusal, problem};
use super::{host, java};
use crate::Shared;

/// Answers the process's description.
pub(crate) async fn process(State(app): State<Shared>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(process) = java::uuid(&id) else { return Refusal::PROCESS_ID.into_response() };
    let mode = if process == app.config.sync_process {
        "sync-execute"
    } else if process == app.config.async_process {
        "async-execute"
    } else {
        let words = format!("No process found with id: {process}");
        return problem(StatusCode::NOT_FOUND, "Not Found", "Not Found", &words);
    };
    let href = format!("http://{}/processes/{process}", host(&app, &headers));
    Json(json!({
        "id": process,
        "title": "AuditLogsIngestion",
        "version": "1.0.0",
        "description": "Takes download records into the metering table",
        "jobControlOptions": [mode],
        "outputTransmission": ["value"],
        "keywords": ["audit", "metering"],
        "inputs": {"logs": {"title": "logs", "schema": {"type": "array"}, "minOccurs": 1}},
        "outputs": {},
        "links": [{"rel": "self", "type": "application/json", "title": "Process description as JSON", "href": href}],
    }))
    .into_response()
}
