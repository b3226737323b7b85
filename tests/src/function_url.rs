//! HTTP requests as a Lambda function URL hands them on: payload format 2.0, header names in lower case, and base64 for
//! what is not text.

use std::collections::BTreeMap;

use audit_core::clock::Clock;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::function::Function;
use crate::runtime_api::FunctionError;

const DOMAIN: &str = "abcdefghij.lambda-url.eu-central-1.on.aws";

/// One request.
#[derive(Debug, Clone)]
pub struct UrlRequest {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
    base64: Option<bool>,
}

impl UrlRequest {
    /// A `GET` of `target` (path, and query after `?`).
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target, Vec::new())
    }

    /// A `POST` of `body` to `target`, as `application/json`.
    #[must_use]
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target, body.into()).header("Content-Type", "application/json")
    }

    /// Any request.
    #[must_use]
    pub fn new(method: &str, target: &str, body: Vec<u8>) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = [
            ("host", DOMAIN),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-for", "203.0.113.9"),
        ];
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            body,
            base64: None,
        }
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_ascii_lowercase(), value.to_owned());
        self
    }

    /// Has the body encoded (or not) whatever its type.
    #[must_use]
    pub fn base64(mut self, encoded: bool) -> Self {
        self.base64 = Some(encoded);
        self
    }

    /// The event that the function gets.
    #[must_use]
    pub fn event(&self) -> Value {
        let now = Clock::system().now();
        let is_text = || is_text(self.headers.get("content-type")) && std::str::from_utf8(&self.body).is_ok();
        let encoded = self.base64.unwrap_or_else(|| !is_text());
        let agent = self.headers.get("user-agent").map_or("", String::as_str);
        let mut headers = self.headers.clone();
        headers.insert("content-length".to_owned(), self.body.len().to_string());
        let mut event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": self.path, "rawQueryString": self.query,
            "headers": headers, "isBase64Encoded": encoded,
            "requestContext": {
                "accountId": "anonymous", "apiId": "abcdefghij", "domainName": DOMAIN, "domainPrefix": "abcdefghij",
                "requestId": uuid::Uuid::new_v4().to_string(), "routeKey": "$default", "stage": "$default",
                "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(), "timeEpoch": now.as_millisecond(),
                "http": {
                    "method": self.method, "path": self.path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.9",
                    "userAgent": agent,
                },
            },
        });
        if let (false, Some(fields)) = (self.body.is_empty(), event.as_object_mut()) {
            let text = String::from_utf8_lossy(&self.body).into_owned();
            fields.insert("body".to_owned(), if encoded { STANDARD.encode(&self.body) } else { text }.into());
        }
        event
    }
}

/// One answer, as the function URL's caller gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlResponse {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl UrlResponse {
    /// Reads the function's answer: one without `statusCode` is a body with status 200.
    ///
    /// # Errors
    /// When its fields have other types than payload format 2.0 says; the caller of a function URL gets 502 then.
    pub fn parse(answer: &Value) -> Result<Self, FunctionError> {
        let Some(status) = answer.get("statusCode") else {
            let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
            return Ok(Self { status: 200, headers, body: answer.to_string().into_bytes() });
        };
        let bad = |what: &str| FunctionError::new("Harness", format!("function URL answer with a bad {what}"));
        let status = status.as_u64().and_then(|status| u16::try_from(status).ok()).ok_or_else(|| bad("statusCode"))?;
        let mut headers = BTreeMap::new();
        for (name, value) in answer.get("headers").and_then(Value::as_object).into_iter().flatten() {
            let value = value.as_str().ok_or_else(|| bad("header"))?;
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let text = match answer.get("body") {
            None | Some(Value::Null) => "",
            Some(body) => body.as_str().ok_or_else(|| bad("body"))?,
        };
        let body = match answer.get("isBase64Encoded").and_then(Value::as_bool) {
            Some(true) => STANDARD.decode(text).map_err(|_| bad("base64 body"))?,
            Some(false) | None => text.as_bytes().to_vec(),
        };
        Ok(Self { status, headers, body })
    }
}

impl Function {
    /// Sends `request` through the function URL.
    ///
    /// # Errors
    /// As [`Function::invoke`]: the URL's caller would get 502.
    pub async fn request(&self, request: &UrlRequest) -> Result<UrlResponse, FunctionError> {
        UrlResponse::parse(&self.invoke(&request.event()).await?)
    }
}

fn is_text(content_type: Option<&String>) -> bool {
    let Some(content_type) = content_type else { return false };
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let text = ["application/json", "application/javascript", "application/xml"];
    kind.starts_with("text/") || text.contains(&kind.as_str()) || kind.ends_with("+json") || kind.ends_with("+xml")
}
