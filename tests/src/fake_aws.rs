//! S3, SQS, DynamoDB and Secrets Manager that do what is asked at once, count it, and refuse with the services' own documents
//! what a test tells them to refuse: an emulator has no permissions, regions or keys to be wrong about.
//!
//! The documents have the shapes that the services answer with: XML for S3, JSON with `__type` for the others, and SQS's
//! older code in `x-amzn-query-error`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Who is refused, in the services' words: nothing of it may be in a log.
pub const CALLER: &str = "arn:aws:sts::111122223333:assumed-role/logs-role/session";
/// How often a drop comes, and how large it is: fast enough not to count as stalled.
const DROP: Duration = Duration::from_millis(200);
const DROP_BYTES: usize = 64;
/// The region in which nothing is looked for.
pub const ELSEWHERE: &str = "eu-north-1";

/// An answer that is no success.
#[derive(Debug, Clone)]
pub struct Refusal {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Refusal {
    /// S3's, as XML.
    #[must_use]
    pub fn s3(status: u16, code: &str, message: &str) -> Self {
        let message = message.replace('"', "&quot;");
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
             <RequestId>4442587FB7D0A2F9</RequestId><HostId>host</HostId></Error>"
        );
        Self { status, headers: vec![("content-type", "application/xml".to_owned())], body }
    }

    /// That of a service that speaks JSON.
    #[must_use]
    pub fn json(kind: &str, message: &str) -> Self {
        let body = json!({ "__type": kind, "message": message }).to_string();
        Self { status: 400, headers: vec![("content-type", "application/x-amz-json-1.0".to_owned())], body }
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// What IAM has a service say when no policy allows `permission`.
    #[must_use]
    pub fn unauthorized(permission: &str) -> String {
        let service = permission.split(':').next().unwrap_or_default();
        format!(
            "User: {CALLER} is not authorized to perform: {permission} on resource: \
             arn:aws:{service}:eu-central-1:111122223333:thing because no identity-based policy allows the {permission} action"
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(Body::from(self.body)).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
    }
}

/// A running stand-in.
#[derive(Debug)]
pub struct FakeAws {
    endpoint: String,
    state: Arc<Mutex<Known>>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Known {
    objects: HashMap<String, Bytes>,
    dripping: HashMap<String, usize>,
    secrets: HashMap<String, String>,
    refusals: HashMap<String, Refusal>,
    calls: BTreeMap<String, u64>,
}

impl FakeAws {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("fake AWS: no port")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let state = Arc::<Mutex<Known>>::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let server = tokio::spawn(async move {
            // Runs until aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { endpoint, state, server })
    }

    /// Its `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Stores an object.
    pub fn put(&self, bucket: &str, key: &str, body: impl Into<Bytes>) {
        known(&self.state).objects.insert(format!("/{bucket}/{key}"), body.into());
    }

    /// Has an object's body come in drops after `bytes`, until [`FakeAws::flow`].
    pub fn drip(&self, bucket: &str, key: &str, bytes: usize) {
        known(&self.state).dripping.insert(format!("/{bucket}/{key}"), bytes);
    }

    /// Has all bodies come in full again.
    pub fn flow(&self) {
        known(&self.state).dripping.clear();
    }

    /// Keeps a secret under `arn`.
    pub fn secret(&self, arn: &str, value: &str) {
        known(&self.state).secrets.insert(arn.to_owned(), value.to_owned());
    }

    /// Answers every call of `operation` (such as `S3.GetObject` or `DynamoDB.PutItem`) with `refusal`.
    pub fn refuse(&self, operation: &str, refusal: Refusal) {
        known(&self.state).refusals.insert(operation.to_owned(), refusal);
    }

    /// Refuses nothing any more.
    pub fn allow_all(&self) {
        known(&self.state).refusals.clear();
    }

    /// How often `operation` was called.
    #[must_use]
    pub fn calls(&self, operation: &str) -> u64 {
        known(&self.state).calls.get(operation).copied().unwrap_or(0)
    }

    /// How many objects under `/BUCKET/PREFIX` there are.
    #[must_use]
    pub fn objects(&self, start: &str) -> usize {
        known(&self.state).objects.keys().filter(|path| path.starts_with(start)).count()
    }
}

impl Drop for FakeAws {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn known(state: &Mutex<Known>) -> MutexGuard<'_, Known> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(state): State<Arc<Mutex<Known>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, 64 << 20).await else { return StatusCode::BAD_REQUEST.into_response() };
    let operation = operation(&head.method, &head.headers);
    let mut known = known(&state);
    *known.calls.entry(operation.clone()).or_default() += 1;
    if let Some(refusal) = known.refusals.get(&operation) {
        return refusal.clone().into_response();
    }
    let path = head.uri.path().to_owned();
    match operation.as_str() {
        "S3.GetObject" => object(&known, &path),
        "S3.PutObject" => {
            known.objects.insert(path, unchunked(&head.headers, body));
            ([("etag", "\"1\"")], "").into_response()
        }
        "SecretsManager.GetSecretValue" => secret(&known, &body),
        "DynamoDB.DescribeTable" => Json(json!({"Table": {
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        }}))
        .into_response(),
        "DynamoDB.DescribeTimeToLive" => Json(json!({"TimeToLiveDescription": {
            "TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at",
        }}))
        .into_response(),
        "SQS.SendMessage" => Json(json!({"MessageId": "1", "MD5OfMessageBody": ""})).into_response(),
        _ => Json(json!({})).into_response(),
    }
}

/// `SERVICE.Operation`; S3 has no header for it.
fn operation(method: &Method, headers: &HeaderMap) -> String {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let Some((service, operation)) = target.and_then(|target| target.split_once('.')) else {
        return match *method {
            Method::GET => "S3.GetObject",
            Method::PUT => "S3.PutObject",
            Method::DELETE => "S3.DeleteObject",
            _ => "S3.other",
        }
        .to_owned();
    };
    let service = match service {
        "AmazonSQS" => "SQS",
        "secretsmanager" => "SecretsManager",
        _ => "DynamoDB",
    };
    format!("{service}.{operation}")
}

fn object(known: &Known, path: &str) -> Response {
    let Some(body) = known.objects.get(path) else {
        return Refusal::s3(404, "NoSuchKey", "The specified key does not exist.").into_response();
    };
    let Some(&at) = known.dripping.get(path) else { return body.clone().into_response() };
    let length = body.len().to_string();
    let (start, rest) = (body.slice(..at.min(body.len())), body.slice(at.min(body.len())..));
    let drops = stream::unfold(rest, async |mut rest| {
        tokio::time::sleep(DROP).await;
        let drop = rest.split_to(rest.len().min(DROP_BYTES));
        (!drop.is_empty()).then_some((Ok(drop), rest))
    });
    let slow = stream::once(async { Ok::<_, std::io::Error>(start) }).chain(drops);
    ([("content-length", length)], Body::from_stream(slow)).into_response()
}

fn secret(known: &Known, body: &[u8]) -> Response {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let id = request.get("SecretId").and_then(Value::as_str).unwrap_or_default();
    match known.secrets.get(id) {
        Some(value) => Json(json!({"ARN": id, "Name": id, "SecretString": value})).into_response(),
        None => Refusal::json("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
            .into_response(),
    }
}

/// A body that was sent in signed or checksummed chunks is of no use to these tests but for its being there.
fn unchunked(headers: &HeaderMap, body: Bytes) -> Bytes {
    if headers.contains_key("x-amz-decoded-content-length") { Bytes::from_static(b"chunked") } else { body }
}

/// An answer as the JSON services give it.
struct Json(Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        ([("content-type", "application/x-amz-json-1.0")], self.0.to_string()).into_response()
    }
}
