//! One `POST /api/event`, and what its answer means.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use reqwest::Url;

use crate::analytics::plausible_event::PlausibleEvent;
use crate::client::{Request, Response, SendError, retry};

/// Events the server took in form only: it counts them here, and never tells the reason.
const DROPPED: &str = "x-plausible-dropped";
const DETAIL_BYTES: usize = 500;

/// What came of one POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The event is in.
    Recorded,
    /// Taken for a bot's or a blocked visitor's, of an unknown site, over the rate: the same for all.
    Dropped,
    /// Never to be sent again; with what the server said.
    Rejected(String),
    /// Perhaps it is in.
    Ambiguous(String),
    /// It is not in, and may be sent again.
    Transient { reason: String, retry_after: Option<Duration> },
}

/// The request for `event` on behalf of the visitor with `address` and `user_agent`.
///
/// `None` where a value cannot stand in a header, which the policy's own cutting rules out.
pub(super) fn request(
    url: &Url,
    event: &PlausibleEvent,
    user_agent: &str,
    address: Option<(&'static str, String)>,
) -> Option<Request> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, hidden(user_agent)?);
    if let Some((name, address)) = address {
        headers.insert(HeaderName::from_static(name), hidden(&address)?);
    }
    let body = serde_json::to_vec(event).ok()?.into();
    Some(Request { method: Method::POST, url: url.clone(), headers, body })
}

fn hidden(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(text.as_bytes()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

pub(super) fn answer(result: Result<Response, SendError>, now: Timestamp) -> Answer {
    let response = match result {
        Ok(response) => response,
        Err(error @ SendError::NotSent(_)) => {
            return Answer::Transient { reason: error.to_string(), retry_after: None };
        }
        Err(error @ SendError::NoAnswer(_)) => return Answer::Ambiguous(error.to_string()),
    };
    match response.status {
        StatusCode::ACCEPTED if is_dropped(&response.headers) => Answer::Dropped,
        StatusCode::ACCEPTED => Answer::Recorded,
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::URI_TOO_LONG
        | StatusCode::UNPROCESSABLE_ENTITY => Answer::Rejected(detail(&response)),
        // A proxy has passed the event on and heard nothing more, or nothing that it understood (520 and 524 are Cloudflare's).
        status if matches!(status.as_u16(), 504 | 520 | 524) => {
            Answer::Ambiguous(format!("status {}", status.as_u16()))
        }
        // Overload, or a wrong address: another server's 200 is no record of an event.
        status => Answer::Transient {
            reason: format!("status {}", status.as_u16()),
            retry_after: retry::retry_after(&response.headers, now),
        },
    }
}

pub(super) fn is_dropped(headers: &HeaderMap) -> bool {
    headers.get(DROPPED).is_some_and(|count| count.as_bytes().trim_ascii() != b"0")
}

fn detail(response: &Response) -> String {
    let body = response.body.as_deref().unwrap_or_default();
    let text = String::from_utf8_lossy(body.get(..DETAIL_BYTES).unwrap_or(body));
    format!("status {}: {}", response.status.as_u16(), text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Answer {
        let headers =
            headers.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let status = StatusCode::from_u16(status).unwrap();
        let response = Response { status, headers: headers.collect(), body: Some(body.into()) };
        answer(Ok(response), "2026-03-01T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn every_answer_has_one_meaning() {
        let answers = [
            told(202, &[], "ok"),
            told(202, &[("x-plausible-dropped", "0")], "ok"),
            told(202, &[("x-plausible-dropped", "1")], "ok"),
            told(400, &[], r#"{"errors":{"url":["is required"]}}"#),
            told(413, &[], ""),
            told(200, &[], "<html>"),
            told(301, &[], ""),
            told(401, &[], ""),
            told(404, &[], ""),
            told(429, &[("retry-after", "7")], ""),
            told(500, &[], ""),
            told(503, &[], ""),
            told(504, &[], ""),
            answer(Err(SendError::NotSent("refused".into())), Timestamp::UNIX_EPOCH),
            answer(Err(SendError::NoAnswer("reset".into())), Timestamp::UNIX_EPOCH),
        ];
        let table: Vec<_> = answers.iter().map(|answer| format!("{answer:?}")).collect();
        insta::assert_snapshot!(table.join("\n"));
    }
}
