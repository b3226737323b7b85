//! Plausible's `POST /api/event`: what it records, what it drops without saying why, what it refuses.

mod event;
mod recorder;
mod visitor;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use http::header::USER_AGENT;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::Shared;
use crate::listener::Peer;
pub(crate) use recorder::{Recorder, Settings};

/// How many of an event's domains did not record it.
const DROPPED_HEADER: &str = "x-plausible-dropped";

/// `POST /api/event`: 202, with `x-plausible-dropped: N` if N sites did not record it, or 400 `{"errors":{…}}`.
pub(crate) async fn event(
    State(app): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let event = match event::parse(&body) {
        Ok(event) => event,
        Err(errors) => return (StatusCode::BAD_REQUEST, Json(json!({ "errors": errors }))).into_response(),
    };
    let ip = visitor::remote_ip(&headers, peer.address.ip());
    let user_agent = headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match app.recorder.take(&event, &ip, &user_agent.unwrap_or_default()).await {
        0 => (StatusCode::ACCEPTED, "ok").into_response(),
        dropped => (StatusCode::ACCEPTED, [(DROPPED_HEADER, dropped.to_string())], "ok").into_response(),
    }
}

/// `GET /api/health`.
pub(crate) async fn health() -> Response {
    Json(json!({ "clickhouse": "ok", "postgres": "ok", "sites_cache": "ok", "sessions": "ok" })).into_response()
}
