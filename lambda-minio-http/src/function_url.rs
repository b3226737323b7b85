//! A function URL's payload (format 2.0) as an HTTP request, and the answer back.

use axum::body::Body;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use serde_json::{Value, json};

/// Why a payload is no HTTP request.
#[derive(Debug, thiserror::Error)]
#[error("function URL payload: expected {0}")]
pub(crate) struct PayloadError(&'static str);

/// Whether `payload` came through a function URL.
pub(crate) fn is_request(payload: &Value) -> bool {
    payload.pointer("/requestContext/http/method").is_some_and(Value::is_string)
}

/// Builds the request. Headers that are no HTTP headers are left out: nothing that is read can be among them.
pub(crate) fn request(payload: &mut Value) -> Result<Request<Body>, PayloadError> {
    let method = payload.pointer("/requestContext/http/method").and_then(Value::as_str);
    let method = method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
    let path = payload.get("rawPath").and_then(Value::as_str).filter(|path| path.starts_with('/'));
    let mut request = Request::builder()
        .method(method.ok_or(PayloadError("requestContext.http.method"))?)
        .uri(path.unwrap_or("/"))
        .body(Body::empty())
        .map_err(|_| PayloadError("rawPath as a path"))?;
    *request.headers_mut() = headers(payload);
    *request.body_mut() = Body::from(body(payload)?);
    Ok(request)
}

fn headers(payload: &Value) -> HeaderMap {
    let fields = payload.get("headers").and_then(Value::as_object);
    let header = |(name, value): (&String, &Value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::from_str(value.as_str()?).ok()?))
    };
    fields.into_iter().flatten().filter_map(header).collect()
}

fn body(payload: &mut Value) -> Result<Vec<u8>, PayloadError> {
    let encoded = payload.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or(false);
    match payload.get_mut("body").map(Value::take) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(body)) if encoded => {
            BASE64_STANDARD.decode(body).map_err(|_| PayloadError("body in base64, as isBase64Encoded says"))
        }
        Some(Value::String(body)) => Ok(body.into_bytes()),
        Some(_) => Err(PayloadError("body as a string")),
    }
}

/// The answer as a function URL wants it; our bodies are text.
pub(crate) async fn response(response: axum::response::Response) -> Value {
    let (head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let headers: serde_json::Map<String, Value> =
        head.headers.iter().filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.into()))).collect();
    json!({
        "statusCode": head.status.as_u16(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
        "isBase64Encoded": false,
    })
}
