//! The Lambda runtime API, as a function's process sees it: it polls for invocations and posts their outcomes.
//!
//! One value is one sandbox: whoever restarts the process makes a new one, so that nothing meant for the new process is
//! taken by a connection of the old one. What AWS documents is "Using the Lambda runtime API for custom runtimes"; the
//! limit of 6 MiB on both ways is that of synchronous invocations.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use audit_core::clock::Clock;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// The largest request and response of an invocation.
pub const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;
/// How long a process may take from its start to its first poll, as on Lambda.
pub const INIT_LIMIT: Duration = Duration::from_secs(10);

/// Why an invocation failed: what the function reported, or what Lambda says for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionError {
    /// The error's type, such as `Sandbox.Timedout`.
    pub error_type: String,
    /// The error's message.
    pub message: String,
}

impl FunctionError {
    pub(crate) fn new(error_type: &str, message: impl Into<String>) -> Self {
        Self { error_type: error_type.to_owned(), message: message.into() }
    }
}

impl std::fmt::Display for FunctionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.error_type, self.message)
    }
}

impl std::error::Error for FunctionError {}

type Outcome = Result<Bytes, FunctionError>;

struct Invocation {
    id: String,
    payload: Bytes,
    timeout: Duration,
    taken: oneshot::Sender<()>,
    outcome: oneshot::Sender<Outcome>,
}

struct Sandbox {
    function_arn: String,
    queue: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    running: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
    init_error: watch::Sender<Option<FunctionError>>,
    polled: watch::Sender<bool>,
    clock: Clock,
}

/// A running emulator of the runtime API for one process.
#[derive(Debug)]
pub struct RuntimeApi {
    address: SocketAddr,
    queue: mpsc::UnboundedSender<Invocation>,
    init_error: watch::Receiver<Option<FunctionError>>,
    polled: watch::Receiver<bool>,
    server: JoinHandle<()>,
}

impl std::fmt::Debug for Invocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invocation").field("id", &self.id).finish_non_exhaustive()
    }
}

impl RuntimeApi {
    /// Starts one for a function named `name` on a free port.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(name: &str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("runtime API: no port")?;
        let address = listener.local_addr()?;
        let (queue, receiver) = mpsc::unbounded_channel();
        let (init_error, init_error_seen) = watch::channel(None);
        let (polled, polled_seen) = watch::channel(false);
        let sandbox = Sandbox {
            function_arn: format!("arn:aws:lambda:{}:123456789012:function:{name}", crate::aws::REGION),
            queue: tokio::sync::Mutex::new(receiver),
            running: Mutex::default(),
            init_error,
            polled,
            clock: Clock::system(),
        };
        let server = axum::serve(listener, router(Arc::new(sandbox)));
        let server = tokio::spawn(async move {
            // Runs until aborted.
            let _ = server.await;
        });
        Ok(Self { address, queue, init_error: init_error_seen, polled: polled_seen, server })
    }

    /// `host:port`, for `AWS_LAMBDA_RUNTIME_API`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits until the process asks for its first invocation.
    ///
    /// # Errors
    /// When `limit` passes, or the process reports that its start failed.
    pub async fn first_poll(&self, limit: Duration) -> Result<(), FunctionError> {
        let (mut polled, mut failed) = (self.polled.clone(), self.init_error.clone());
        tokio::select! {
            Ok(_) = polled.wait_for(|polled| *polled) => Ok(()),
            error = init_failure(&mut failed) => Err(error),
            () = tokio::time::sleep(limit) => Err(init_timeout(limit)),
        }
    }

    /// Invokes the function and waits for its outcome, at most `timeout` from the moment the process takes it.
    ///
    /// # Errors
    /// What the function reports, or `Sandbox.Timedout`.
    pub async fn invoke(&self, payload: impl Into<Bytes>, timeout: Duration) -> Outcome {
        let payload = payload.into();
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(too_large("RequestEntityTooLargeException", payload.len()));
        }
        let (taken, when_taken) = oneshot::channel();
        let (outcome, when_done) = oneshot::channel();
        let id = uuid::Uuid::new_v4().to_string();
        let invocation = Invocation { id: id.clone(), payload, timeout, taken, outcome };
        if self.queue.send(invocation).is_err() {
            return Err(FunctionError::new("Harness", "the runtime API has stopped"));
        }
        let mut failed = self.init_error.clone();
        tokio::select! {
            _ = when_taken => {}
            error = init_failure(&mut failed) => return Err(error),
            () = tokio::time::sleep(INIT_LIMIT) => return Err(init_timeout(INIT_LIMIT)),
        }
        match tokio::time::timeout(timeout, when_done).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(FunctionError::new("Harness", "the runtime API dropped an invocation")),
            Err(_) => Err(timed_out(&id, timeout)),
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn init_failure(failed: &mut watch::Receiver<Option<FunctionError>>) -> FunctionError {
    match failed.wait_for(Option::is_some).await.map(|error| error.clone()) {
        Ok(Some(error)) => error,
        // The sandbox outlives its watchers; nothing more to come.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

fn init_timeout(limit: Duration) -> FunctionError {
    FunctionError::new("Sandbox.InitTimedout", format!("no poll for an invocation within {limit:?}"))
}

fn timed_out(id: &str, timeout: Duration) -> FunctionError {
    let message = format!("RequestId: {id} Error: Task timed out after {:.2} seconds", timeout.as_secs_f64());
    FunctionError::new("Sandbox.Timedout", message)
}

fn too_large(error_type: &str, bytes: usize) -> FunctionError {
    FunctionError::new(error_type, format!("payload of {bytes} bytes exceeds the limit of {MAX_PAYLOAD_BYTES}"))
}

fn router(sandbox: Arc<Sandbox>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .layer(DefaultBodyLimit::disable())
        .with_state(sandbox)
}

async fn next(State(sandbox): State<Arc<Sandbox>>) -> Response {
    sandbox.polled.send_replace(true);
    loop {
        let Some(invocation) = sandbox.queue.lock().await.recv().await else {
            return StatusCode::GONE.into_response();
        };
        let Invocation { id, payload, timeout, taken, outcome } = invocation;
        // Its caller may have given up before anybody took it.
        if taken.send(()).is_ok() {
            running(&sandbox).insert(id.clone(), outcome);
            return (headers(&sandbox, &id, timeout), payload).into_response();
        }
    }
}

fn headers(sandbox: &Sandbox, id: &str, timeout: Duration) -> [(HeaderName, String); 5] {
    let deadline =
        sandbox.clock.now().as_millisecond().saturating_add(i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX));
    let trace = id.replace('-', "");
    [
        (axum::http::header::CONTENT_TYPE, "application/json".to_owned()),
        (HeaderName::from_static("lambda-runtime-aws-request-id"), id.to_owned()),
        (HeaderName::from_static("lambda-runtime-deadline-ms"), deadline.to_string()),
        (HeaderName::from_static("lambda-runtime-invoked-function-arn"), sandbox.function_arn.clone()),
        (HeaderName::from_static("lambda-runtime-trace-id"), format!("Root=1-{trace};Sampled=0")),
    ]
}

async fn response(State(sandbox): State<Arc<Sandbox>>, Path(id): Path<String>, body: Bytes) -> Response {
    if body.len() > MAX_PAYLOAD_BYTES {
        let refused = finish(&sandbox, &id, Err(too_large("Function.ResponseSizeTooLarge", body.len())));
        return if refused == StatusCode::ACCEPTED { StatusCode::PAYLOAD_TOO_LARGE } else { refused }.into_response();
    }
    finish(&sandbox, &id, Ok(body)).into_response()
}

async fn error(
    State(sandbox): State<Arc<Sandbox>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    finish(&sandbox, &id, Err(reported(&headers, &body))).into_response()
}

async fn init_error(State(sandbox): State<Arc<Sandbox>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    sandbox.init_error.send_replace(Some(reported(&headers, &body)));
    StatusCode::ACCEPTED
}

fn finish(sandbox: &Sandbox, id: &str, outcome: Outcome) -> StatusCode {
    let Some(caller) = running(sandbox).remove(id) else {
        // As Lambda does for an invocation it does not know, or that is over.
        return StatusCode::FORBIDDEN;
    };
    // A caller whose time ran out no longer listens.
    let _ = caller.send(outcome);
    StatusCode::ACCEPTED
}

fn running(sandbox: &Sandbox) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Outcome>>> {
    sandbox.running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body's `errorType` and `errorMessage`; the header's type where the body has none.
fn reported(headers: &HeaderMap, body: &[u8]) -> FunctionError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let header = headers.get("lambda-runtime-function-error-type").and_then(|value| value.to_str().ok());
    FunctionError {
        error_type: text("errorType").or(header).unwrap_or("Unknown").to_owned(),
        message: text("errorMessage").unwrap_or_default().to_owned(),
    }
}
