//! The HTTP interface: one router, under Lambda and standalone.

use std::sync::Arc;
use std::time::Duration;

use audit_core::pipeline::receiver::Receiver;
use audit_core::tally::Tally;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Router, middleware};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::time::Instant;

use crate::bodies::Bodies;
use crate::metrics::{CONTENT_TYPE, Metrics};
use crate::token::Door;

/// How long entries may take to be durable where no invocation sets an end.
const TAKE_TIMEOUT: Duration = Duration::from_secs(25);

/// When an invocation must be answered; an extension of its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until(pub(crate) Instant);

/// What the entries of a request came to; an extension of its response.
#[derive(Debug, Clone)]
pub(crate) struct Taken(pub(crate) Tally);

/// What the routes share.
pub(crate) struct App {
    pub(crate) door: Door,
    pub(crate) receiver: Receiver,
    pub(crate) bodies: Bodies,
    pub(crate) metrics: Option<Metrics>,
}

/// The routes. Trailing slashes and anything else unknown are 404, never a redirect: MinIO's client would turn it into a GET.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", only(get(status)))
        .route("/ready", only(get(ready)))
        .route("/metrics", only(get(metrics)))
        .route("/auditlogs/processor", only(post(process)))
        .layer(middleware::map_response(plain))
        .with_state(app)
}

fn only(route: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    route.fallback(|| async { refusal(StatusCode::METHOD_NOT_ALLOWED, "method not allowed") })
}

async fn status() -> Response {
    answer(StatusCode::OK, &json!({ "status": "ok" }))
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.receiver.ready().await {
        Ok(()) => answer(StatusCode::OK, &json!({ "status": "ready" })),
        Err(reason) => refusal(StatusCode::SERVICE_UNAVAILABLE, &reason),
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    match app.metrics.as_ref().map(Metrics::text) {
        Some(Ok(text)) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Some(Err(_)) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written"),
        None => refusal(StatusCode::NOT_FOUND, "metrics are served by the standalone receiver"),
    }
}

/// Takes entries: 200 when each is durable, whatever is in them; a wrong token is the only 4xx besides a body too large.
async fn process(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Err(status) = app.door.admit(request.headers()) {
        let expected = "expected the configured auth_token in Authorization";
        return refusal(status, expected);
    }
    let until = request.extensions().get::<Until>().map_or_else(|| Instant::now() + TAKE_TIMEOUT, |until| until.0);
    let (body, _room) = match app.bodies.read(request).await {
        Ok(read) => read,
        Err((status, reason)) => return refusal(status, reason),
    };
    match app.receiver.take(body, until).await {
        Ok(tally) => {
            let mut response = answer(StatusCode::OK, &json!({ "status": "ok", "records": tally.records }));
            response.extensions_mut().insert(Taken(tally));
            response
        }
        Err(error) => {
            tracing::error!(%error, "a post was not taken");
            refusal(StatusCode::SERVICE_UNAVAILABLE, "not durable: send again")
        }
    }
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn refusal(status: StatusCode, reason: &str) -> Response {
    answer(status, &json!({ "status": "error", "reason": reason }))
}

/// Nothing of ours is to be kept by caches or guessed at by browsers.
async fn plain(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
