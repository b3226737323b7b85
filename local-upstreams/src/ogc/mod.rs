//! The OGC Resource Server's metering process and its jobs.

pub(crate) mod description;
pub(crate) mod entry;
pub(crate) mod execution;
mod java;
pub(crate) mod jobs;
pub(crate) mod refusal;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST};
use uuid::Uuid;

use crate::Shared;
use crate::token::{Claims, Invalid, now};
use refusal::Refusal;

/// The claims of the request's token. The scheme `Bearer` is compared with its case.
fn authenticated(headers: &HeaderMap) -> Result<Claims, Refusal> {
    let header = headers.get(AUTHORIZATION).ok_or(Refusal::TOKEN_MISSING)?;
    let token = header.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).ok_or(Refusal::TOKEN_INVALID)?;
    Claims::verify(token.trim(), now()).map_err(|invalid| match invalid {
        Invalid::Malformed => Refusal::TOKEN_INVALID,
        Invalid::Expired => Refusal::TOKEN_EXPIRED,
    })
}

/// Where a job can be read.
fn location(app: &Shared, headers: &HeaderMap, job: Uuid) -> String {
    format!("http://{}/jobs/{job}", host(app, headers))
}

/// The name this server was called by.
fn host<'a>(app: &'a Shared, headers: &'a HeaderMap) -> &'a str {
    headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or(&app.address)
}
