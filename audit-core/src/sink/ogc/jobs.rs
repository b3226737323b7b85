//! Jobs of a process that answers before it has done its work.

use std::ops::ControlFlow;
use std::time::Duration;

use http::{HeaderMap, Method, header};
use reqwest::Url;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::answer::{Answer, judge_failed_job, words};
use super::execution::below;
use super::token::{Token, TokenError, Tokens};
use crate::client::retry::Backoff;
use crate::client::{Client, Request};

const POLLS: Backoff = Backoff { first: Duration::from_millis(250), cap: Duration::from_secs(10), tries: usize::MAX };

/// How often a job may be missing: a proxy that is being set up anew forgets its routes for a moment.
const MISSING_MAX: usize = 3;

/// Where a job is told of: `location` as an execution's answer has it, within the origin of `execution`. `None` where that is
/// elsewhere: a token must not go there.
///
/// The server may write `HOST/jobs/ID`, without a scheme.
#[must_use]
pub fn job_url(execution: &Url, location: &str) -> Option<Url> {
    let location = location.trim();
    if location.is_empty() {
        return None;
    }
    let absolute = Url::parse(location).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let without_scheme = || {
        let host = execution.host_str()?;
        let url = Url::parse(&format!("{}://{location}", execution.scheme())).ok()?;
        (url.host_str() == Some(host) && location.contains('/')).then_some(url)
    };
    let url = match absolute {
        Some(url) => url,
        None if location.starts_with('/') => execution.join(location).ok()?,
        None if looks_like_host(location) => without_scheme()?,
        None => without_scheme().or_else(|| execution.join(location).ok())?,
    };
    (url.origin() == execution.origin() && url.username().is_empty() && url.password().is_none()).then_some(url)
}

/// Whether what stands before the first slash is a host rather than a folder.
fn looks_like_host(location: &str) -> bool {
    !location.starts_with('.') && location.split('/').next().is_some_and(|first| first.contains(['.', ':']))
}

/// Asks for the job at `url` until it has ended, at most until `until`.
pub(super) async fn follow(client: &Client, tokens: &Tokens, url: &Url, timeout: Duration, until: Instant) -> Answer {
    let mut waits = POLLS.start();
    let mut following = Following { client, tokens, url, refreshed: false, missing: 0, heard: None };
    let mut last = "there was no time to ask".to_owned();
    while let Some(at) = waits.next(None, until) {
        sleep_until(at).await;
        let timeout = timeout.min(until.saturating_duration_since(Instant::now()));
        match following.ask(timeout).await {
            ControlFlow::Break(answer) => return answer,
            ControlFlow::Continue(seen) => last = seen,
        }
    }
    Answer::Unknown(format!("the job did not end in time: {last}"))
}

/// Whether a job could be read, by asking for one that nobody has: the resource server looks at the role first, and then knows none.
pub(super) async fn may_read(
    client: &Client,
    tokens: &Tokens,
    execution: &Url,
    timeout: Duration,
) -> Result<(), String> {
    let cannot = |why: &str| format!("JOB_AUTH_ROLE: jobs cannot be read ({why})");
    let url = below(execution, &format!("jobs/{}", Uuid::new_v4())).ok_or("PROCESS_API_URL: no execution endpoint")?;
    let token = tokens.get().await.map_err(|error| cannot(&error.to_string()))?;
    let request = question(url, &token).map_err(|error| cannot(&error.to_string()))?;
    let response = client.send(request, timeout).await.map_err(|error| cannot(&error.to_string()))?;
    let said = words(&json(response.body.as_deref()));
    match response.status.as_u16() {
        // A proxy without a route to the resource server answers 404 too, but not in its shape.
        404 if !said.is_empty() => Ok(()),
        status => {
            if status == 401 {
                tokens.invalidate(&token).await;
            }
            Err(cannot(&format!("the resource server answered {}: {}", response.status, token.censor(&said))))
        }
    }
}

fn question(url: Url, token: &Token) -> Result<Request, TokenError> {
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, token.header()?)]);
    Ok(Request { method: Method::GET, url, headers, body: bytes::Bytes::new() })
}

fn json(body: Option<&[u8]>) -> Value {
    body.and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default()
}

struct Following<'a> {
    client: &'a Client,
    tokens: &'a Tokens,
    url: &'a Url,
    refreshed: bool,
    missing: usize,
    /// What the resource server last said of the job.
    heard: Option<String>,
}

impl Following<'_> {
    /// Asks once: the job's end, or what was seen instead.
    async fn ask(&mut self, timeout: Duration) -> ControlFlow<Answer, String> {
        let token = match self.tokens.get().await {
            Ok(token) => token,
            Err(TokenError::Misconfigured(message)) => return unfollowable(&message),
            Err(TokenError::Transient { message, .. }) => return ControlFlow::Continue(message),
        };
        let Ok(request) = question(self.url.clone(), &token) else {
            return unfollowable("the token is not fit for a header");
        };
        let response = match self.client.send(request, timeout).await {
            Ok(response) => response,
            // The last question has the least time: that it got no answer tells less than what was said before.
            Err(error) => return ControlFlow::Continue(self.heard.clone().unwrap_or_else(|| error.to_string())),
        };
        let json = json(response.body.as_deref());
        let said = format!("the resource server answered {}: {}", response.status, token.censor(&words(&json)));
        match response.status.as_u16() {
            200 => end(&json)
                .map_or_else(|| ControlFlow::Continue(self.heard.insert(state(&json)).clone()), ControlFlow::Break),
            401 if !self.refreshed => {
                self.tokens.invalidate(&token).await;
                self.refreshed = true;
                ControlFlow::Continue(said)
            }
            404 if self.missing < MISSING_MAX => {
                self.missing += 1;
                ControlFlow::Continue(said)
            }
            401 | 403 | 404 => unfollowable(&said),
            _ => ControlFlow::Continue(said),
        }
    }
}

fn state(job: &Value) -> String {
    let status = job.get("status").and_then(Value::as_str).unwrap_or("missing");
    format!("its status is {}", status.chars().take(40).collect::<String>())
}

fn unfollowable(why: &str) -> ControlFlow<Answer, String> {
    ControlFlow::Break(Answer::Unfollowable(format!("JOB_AUTH_ROLE: the job cannot be read ({why})")))
}

fn end(job: &Value) -> Option<Answer> {
    let message = job.get("message").and_then(Value::as_str).unwrap_or_default();
    match job.get("status").and_then(Value::as_str)? {
        "SUCCESSFUL" => Some(Answer::Done),
        "FAILED" => Some(judge_failed_job(message)),
        "DISMISSED" => Some(Answer::Unknown("the job was dismissed".to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_followed_within_the_origin_alone() {
        let execution: Url = "https://rs.example:8443/processes/p/execution".parse().unwrap();
        let table: Vec<String> = [
            "https://rs.example:8443/jobs/1",
            "rs.example:8443/jobs/1",
            "/jobs/1",
            "jobs/1",
            "//rs.example:8443/jobs/1",
            "//evil.example/jobs/1",
            "http://rs.example:8443/jobs/1",
            "https://rs.example/jobs/1",
            "rs.example/jobs/1",
            "https://rs.example:8443@evil.example/jobs/1",
            "https://a:b@rs.example:8443/jobs/1",
            "evil.example/jobs/1",
            "",
        ]
        .iter()
        .map(|location| {
            let url = job_url(&execution, location).map_or_else(|| "not followed".to_owned(), |url| url.to_string());
            format!("{location} → {url}\n")
        })
        .collect();
        insta::assert_snapshot!(table.concat());
    }

    #[test]
    fn a_job_ends_in_one_of_these() {
        let table: Vec<String> = [
            ("ACCEPTED", ""),
            ("RUNNING", ""),
            ("SUCCESSFUL", "2 logs inserted into metering table"),
            ("FAILED", "Audit logs Insertion process failed."),
            ("FAILED", "Invalid UUID format in one of the log entries."),
            ("FAILED", "Unexpected error while processing log entry"),
            ("FAILED", "connection lost"),
            ("FAILED", ""),
            ("DISMISSED", ""),
            ("new in 2030", ""),
        ]
        .iter()
        .map(|(status, message)| {
            format!("{status} {message:?} → {:?}\n", end(&serde_json::json!({"status": status, "message": message})))
        })
        .collect();
        insta::assert_snapshot!(table.concat());
    }
}
