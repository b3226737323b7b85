//! `GET /jobs/{id}`: for tokens of role provider, and of their own user's jobs only.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::refusal::{Refusal, problem};
use super::{authenticated, location};
use crate::Shared;
use crate::store::Job;
use crate::token::Claims;

/// Answers the job's row, without its input.
pub(crate) async fn job(State(app): State<Shared>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let user = match authenticated(&headers).and_then(|claims| provider(&claims)) {
        Ok(user) => user,
        Err(refusal) => return refusal.into_response(),
    };
    let Ok(id) = id.parse::<Uuid>() else { return not_found() };
    match app.store.job(id).await {
        Ok(Some(job)) if job.user_id == user => shown(&job, &location(&app, &headers, id)),
        Ok(_) => not_found(),
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "a job could not be read");
            not_found()
        }
    }
}

/// The user whose jobs the token may read.
fn provider(claims: &Claims) -> Result<Uuid, Refusal> {
    let user = match claims.role.as_str() {
        "provider" => Some(claims.sub),
        "delegate" if claims.drl.as_deref() == Some("provider") => claims.did,
        _ => None,
    };
    user.filter(|_| claims.is_rs_token()).ok_or(Refusal::NOT_PROVIDER)
}

fn shown(job: &Job, href: &str) -> Response {
    let Ok(Value::Object(mut row)) = serde_json::to_value(job) else { return not_found() };
    let title = job.input.get("title").and_then(Value::as_str);
    row.insert("links".to_owned(), json!({ "href": href, "rel": "self", "title": title }));
    Json(row).into_response()
}

fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, "Not Found", "Not Found", "The requested job does not exist")
}
