//! What an answer to an execution request means: the whole table, as a pure function.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::client::retry;

/// What an execution request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// All inserted.
    Done,
    /// Known not inserted; worth another try.
    Transient {
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
        /// What went wrong.
        message: String,
    },
    /// Known not inserted, as one of the records is refused: the server's words.
    Refused(String),
    /// Known not inserted, in words that tell neither a record nor the set-up to be at fault: the server's words.
    Doubtful(String),
    /// Known not inserted: over the server's limit on bodies.
    TooLarge,
    /// Known not inserted: the token is not accepted.
    Unauthorized(String),
    /// Known not inserted, and no record's fault: what to mend.
    Misconfigured(String),
    /// A job was made; nothing is known yet.
    Accepted {
        /// Where the job is told of.
        location: Option<String>,
        /// Its id, by the body or else by the end of `location`.
        job: Option<Uuid>,
    },
    /// Nobody can say whether it was inserted: what happened.
    Unknown(String),
    /// As unknown, and every further request would end so too until somebody mends the set-up: what to mend.
    Unfollowable(String),
}

impl Answer {
    /// Whether the server or the way to it failed, rather than a record.
    #[must_use]
    pub fn is_servers_fault(&self) -> bool {
        match self {
            Self::Done | Self::Refused(_) | Self::Doubtful(_) | Self::TooLarge | Self::Accepted { .. } => false,
            Self::Transient { .. }
            | Self::Unauthorized(_)
            | Self::Misconfigured(_)
            | Self::Unknown(_)
            | Self::Unfollowable(_) => true,
        }
    }
}

/// Refusals of one record, by the words they begin with, as the process makes them.
const REFUSALS: [&str; 7] = [
    "One of the logs entries is empty",
    "Invalid log format in one of the log entries",
    "Invalid UUID format in one of the log entries",
    "Missing required fields in log entry",
    "Invalid timestamp format",
    "Invalid respSize format",
    "Unexpected error while processing log entry",
];
const ROLLED_BACK: &str = "Audit logs Insertion process failed";
const INTERNAL: &str = "Internal Server Error";
const SHOWN_CHARS: usize = 300;

/// Judges an answer to a request with `sent` records. `body` is `None` where it could not be read to its end.
#[must_use]
pub fn judge(status: StatusCode, headers: &HeaderMap, body: Option<&[u8]>, sent: usize, now: Timestamp) -> Answer {
    let json = body.and_then(|body| serde_json::from_slice::<Value>(body).ok()).unwrap_or_default();
    let said = words(&json);
    let message = if said.is_empty() { status.to_string() } else { format!("{status}: {said}") };
    let transient = |message| Answer::Transient { retry_after: retry::retry_after(headers, now), message };
    match status.as_u16() {
        200 if is_done(&json, sent) => Answer::Done,
        201 => accepted(headers, &json),
        200 => Answer::Unknown(format!("{message}, without word that {sent} records were inserted")),
        400 | 500 if is_refusal(&json) => Answer::Refused(said),
        // Known not inserted, but whose fault it is was in the part that is lost.
        400 if body.is_none() => transient(message),
        400 if !said.is_empty() => Answer::Doubtful(message),
        401 => Answer::Unauthorized(message),
        413 => Answer::TooLarge,
        429 | 503 => transient(message),
        404 => Answer::Misconfigured(format!("PROCESS_API_URL: no such process ({message})")),
        code @ 300..400 => {
            Answer::Misconfigured(format!("PROCESS_API_URL: redirects are not followed, and {code} is one"))
        }
        400..500 => Answer::Misconfigured(format!("PROCESS_API_URL: the request is refused as a whole ({message})")),
        500 if is_rolled_back(&json) || is_lookup_failure(&json) => transient(message),
        _ => Answer::Unknown(message),
    }
}

/// What a failed job's `message` proves: a refusal, a roll-back, or nothing (its bookkeeping may have failed after the commit).
#[must_use]
pub fn judge_failed_job(message: &str) -> Answer {
    if REFUSALS.iter().any(|refusal| message.starts_with(refusal)) {
        Answer::Refused(shown(message))
    } else if message.starts_with(ROLLED_BACK) {
        Answer::Transient { retry_after: None, message: shown(message) }
    } else {
        Answer::Unknown(format!(
            "the job failed and does not say whether before or after its commit: {}",
            shown(message)
        ))
    }
}

fn accepted(headers: &HeaderMap, json: &Value) -> Answer {
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let told = json.get("jobId").and_then(Value::as_str);
    let job = told.or_else(|| location?.trim_end_matches('/').rsplit('/').next());
    Answer::Accepted { location: location.map(str::to_owned), job: job.and_then(|id| Uuid::try_parse(id).ok()) }
}

fn is_done(json: &Value, sent: usize) -> bool {
    json.get("status").and_then(Value::as_str) == Some("successful")
        && json.get("logsInserted").and_then(Value::as_u64) == u64::try_from(sent).ok()
}

fn is_refusal(json: &Value) -> bool {
    texts(json).any(|text| REFUSALS.iter().any(|refusal| text.starts_with(refusal)))
}

fn is_rolled_back(json: &Value) -> bool {
    texts(json).any(|text| text.starts_with(ROLLED_BACK))
}

/// The shape of this one tells it apart: `code` and `description` of the same name are the unknown kind.
fn is_lookup_failure(json: &Value) -> bool {
    let is_text = |key| json.get(key).is_some_and(Value::is_string);
    json.get("type").and_then(Value::as_str) == Some(INTERNAL)
        && is_text("title")
        && is_text("detail")
        && json.get("code").is_none()
}

fn texts(json: &Value) -> impl Iterator<Item = &str> {
    ["detail", "description", "title", "message"].iter().filter_map(|key| json.get(key)?.as_str()).map(str::trim)
}

/// The most telling of what a JSON answer says, fit to be shown.
#[must_use]
pub fn words(json: &Value) -> String {
    shown(texts(json).find(|text| !text.is_empty()).unwrap_or_default())
}

fn shown(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(SHOWN_CHARS).collect()
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
