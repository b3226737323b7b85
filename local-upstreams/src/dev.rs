//! What tests use and no upstream has: `/_dev/…`.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Shared;
use crate::faults::Fault;
use crate::plausible::Settings;
use crate::store::CountedRow;

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Value>),
    One(Value),
}

/// `POST /_dev/faults`: switches one fault, or an array of them, on.
pub(crate) async fn add_faults(State(app): State<Shared>, body: Bytes) -> Response {
    match faults(&body) {
        Ok(faults) => {
            app.faults.add(faults);
            Json(app.faults.show()).into_response()
        }
        Err(message) => (StatusCode::BAD_REQUEST, Json(json!({ "error": message }))).into_response(),
    }
}

fn faults(body: &[u8]) -> Result<Vec<Fault>, String> {
    let values = match serde_json::from_slice(body).map_err(|error| error.to_string())? {
        OneOrMany::Many(values) => values,
        OneOrMany::One(value) => vec![value],
    };
    let read = |value| {
        let fault: Fault = serde_json::from_value(value).map_err(|error| error.to_string())?;
        fault.check().map(|()| fault)
    };
    values.into_iter().map(read).collect()
}

/// `GET /_dev/faults`: the faults switched on, and how often each happened.
pub(crate) async fn show_faults(State(app): State<Shared>) -> Response {
    Json(app.faults.show()).into_response()
}

/// `DELETE /_dev/faults`: switches all off.
pub(crate) async fn clear_faults(State(app): State<Shared>) -> StatusCode {
    app.faults.clear();
    StatusCode::NO_CONTENT
}

/// `GET /_dev/requests`: how often each target gave each answer.
pub(crate) async fn requests(State(app): State<Shared>) -> Response {
    Json(app.counts.snapshot()).into_response()
}

/// `GET /_dev/events`: what Plausible recorded and dropped.
pub(crate) async fn events(State(app): State<Shared>) -> Response {
    Json(app.recorder.show()).into_response()
}

/// `POST /_dev/plausible`: how the sites behave from now on.
pub(crate) async fn set_plausible(State(app): State<Shared>, body: Bytes) -> Response {
    match serde_json::from_slice::<Settings>(&body) {
        Ok(settings) => {
            app.recorder.set(settings);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({ "error": error.to_string() }))).into_response(),
    }
}

/// `GET /_dev/rows`: the metering table, by user and collection, and row by row.
pub(crate) async fn rows(State(app): State<Shared>) -> Response {
    match app.store.counted_rows().await {
        Ok(rows) => Json(summary(&rows)).into_response(),
        Err(error) => failed(&error),
    }
}

/// `POST /_dev/reset`: empties the tables and forgets faults, counts and events.
pub(crate) async fn reset(State(app): State<Shared>) -> Response {
    app.faults.clear();
    app.counts.clear();
    app.recorder.reset(app.config.sites.clone());
    match app.store.clear().await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => failed(&error),
    }
}

#[derive(Default)]
struct Sum {
    count: i64,
    bytes: i128,
}

impl Sum {
    fn add(&mut self, row: &CountedRow) {
        self.count += row.count;
        self.bytes += i128::from(row.resp_size) * i128::from(row.count);
    }

    /// Sums that no JSON number holds exactly become text.
    fn bytes(&self) -> Value {
        i64::try_from(self.bytes).map_or_else(|_| json!(self.bytes.to_string()), |bytes| json!(bytes))
    }
}

fn summary(rows: &[CountedRow]) -> Value {
    let mut total = Sum::default();
    let mut groups = BTreeMap::<(&str, &str), Sum>::new();
    for row in rows {
        total.add(row);
        groups.entry((&row.user_id, &row.collection_id)).or_default().add(row);
    }
    let groups: Vec<Value> = groups
        .iter()
        .map(|((user, collection), sum)| {
            json!({ "user_id": user, "collection_id": collection, "count": sum.count, "bytes": sum.bytes() })
        })
        .collect();
    json!({ "count": total.count, "distinct": rows.len(), "bytes": total.bytes(), "groups": groups, "rows": rows })
}

fn failed(error: &anyhow::Error) -> Response {
    let message = format!("{error:#}");
    (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "error": message }))).into_response()
}
