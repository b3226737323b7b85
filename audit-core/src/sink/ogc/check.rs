//! Whether deliveries would be taken: token, process, role and jobs, asked without inserting anything.
//!
//! The role is proven by an execution without `inputs`: the resource server looks at token, process and role first, and refuses
//! such a body with 400 before it makes a job.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::Url;
use serde_json::Value;
use uuid::Uuid;

use super::Settings;
use super::answer::words;
use super::execution::below;
use super::token::{Token, TokenError, Tokens};
use crate::client::{Client, Connections, Request, Response, SendError, SetUpError};
use crate::clock::Clock;
use crate::finding::Finding;

const TIMEOUT: Duration = Duration::from_secs(15);
/// The resource server tells its processes apart by their titles.
const TITLE: &str = "AuditLogsIngestion";

/// Asks the auth server and the resource server.
///
/// # Errors
/// When the HTTP client cannot be set up.
pub async fn check(settings: &Settings, clock: &Clock) -> Result<Vec<Finding>, SetUpError> {
    let client = Client::new(Connections::Fresh, settings.trust)?;
    let look = Look { settings, clock, client };
    let mut findings = Vec::new();
    let token = look.token(&settings.auth_role, "AUTH_ROLE", &mut findings).await;
    let reachable = look.process(token.as_ref(), &mut findings).await;
    if reachable && let Some(token) = &token {
        findings.push(look.role(token).await);
    }
    if let Some(role) = &settings.job_auth_role {
        let token = look.token(role, "JOB_AUTH_ROLE", &mut findings).await;
        if reachable && let Some(token) = &token {
            findings.push(look.jobs(token, role).await);
        }
    }
    Ok(findings)
}

struct Look<'a> {
    settings: &'a Settings,
    clock: &'a Clock,
    client: Client,
}

impl Look<'_> {
    async fn token(&self, role: &str, variable: &str, findings: &mut Vec<Finding>) -> Option<Token> {
        let credentials = self.settings.credentials.clone();
        let tokens = Tokens::new(self.client.clone(), credentials, role.to_owned(), TIMEOUT, self.clock.clone());
        let token = match tokens.get().await {
            Ok(token) => token,
            Err(TokenError::Misconfigured(message)) => {
                findings.push(Finding::Trouble(format!("token for {variable}: {message}")));
                return None;
            }
            Err(TokenError::Transient { message, .. }) => {
                findings.push(Finding::Trouble(format!(
                    "AUTH_URL: no token for {variable}: {message}; expected the auth server's token endpoint, reachable from here. Until it \
                     answers, all waits"
                )));
                return None;
            }
        };
        findings.push(match token.ends_at() {
            Some(end) if end <= self.clock.now() => Finding::Trouble(format!(
                "token for {variable}: it ends at {end}, which is past by this machine's clock: set the clock (NTP)"
            )),
            Some(end) => Finding::Fine(format!("token: the auth server gives one for the role {role}, good until {end}")),
            None => Finding::Note(format!(
                "token: the auth server gives one for the role {role}; when it ends cannot be read, so a new one is fetched every 5 minutes"
            )),
        });
        Some(token)
    }

    /// Reads the process's description; says whether the server answers.
    async fn process(&self, token: Option<&Token>, findings: &mut Vec<Finding>) -> bool {
        let Some(url) = below(&self.settings.process_api_url, "") else {
            findings.push(Finding::Trouble(
                "PROCESS_API_URL: expected the process's execution endpoint, such as https://HOST/processes/PROCESS-UUID/execution".to_owned(),
            ));
            return false;
        };
        let answer = match self.send(Method::GET, url, token, Bytes::new()).await {
            Ok(answer) => answer,
            Err(error) => {
                findings.push(Finding::Trouble(format!(
                    "PROCESS_API_URL: the resource server is out of reach ({error}): expected its address as seen from here; all waits until it \
                     answers"
                )));
                return false;
            }
        };
        let json = json(&answer);
        match answer.status {
            StatusCode::OK => findings.extend(self.described(&json)),
            StatusCode::NOT_FOUND => findings.push(no_process(&said(&answer, token))),
            status if status.is_redirection() => findings.push(redirected(status)),
            _ => findings.push(Finding::Note(format!(
                "process: its description cannot be read (GET answered {}), so whether it is synchronous is not known: the first delivery \
                 tells, answered 200 (synchronous) or 201 (asynchronous)",
                said(&answer, token)
            ))),
        }
        true
    }

    fn described(&self, json: &Value) -> Vec<Finding> {
        let mut findings = Vec::new();
        match json.get("title").and_then(Value::as_str) {
            Some(TITLE) => findings.push(Finding::Fine(format!("process: it is {TITLE} (read its description)"))),
            Some(other) => findings.push(Finding::Trouble(format!(
                "PROCESS_API_URL: the process is titled `{}`: expected {TITLE}; GET /processes at the resource server lists the ids",
                shown(other)
            ))),
            None => findings.push(Finding::Note("process: its description has no title".to_owned())),
        }
        let options = json.get("jobControlOptions").and_then(Value::as_array);
        let has = |mode: &str| options.is_some_and(|own| own.iter().any(|option| option.as_str() == Some(mode)));
        // As the resource server has it: one that may run asynchronously does.
        findings.push(match (has("async-execute"), has("sync-execute"), &self.settings.job_auth_role) {
            (true, _, Some(role)) => Finding::Note(format!(
                "process: registered for async-execute: each batch is followed as a job, by the role {role}. Registered for sync-execute \
                 alone it would answer after its commit, which leaves less in doubt"
            )),
            (true, _, None) => Finding::Trouble(
                "JOB_AUTH_ROLE: the process is registered for async-execute, so it answers before it has done anything: set JOB_AUTH_ROLE \
                 (usually `provider`) so that its jobs can be read, or better, have it registered for sync-execute alone; else the first batch \
                 is held and the rest waits"
                    .to_owned(),
            ),
            (false, true, _) => Finding::Fine("process: registered for sync-execute: it answers after its commit".to_owned()),
            (false, false, _) => Finding::Note(
                "process: its description does not say whether it is synchronous: the first delivery tells, answered 200 (synchronous) or \
                 201 (asynchronous); in the resource server's database it is the column mode of processes_table"
                    .to_owned(),
            ),
        });
        findings
    }

    /// An execution without inputs: what is wrong with it is the last thing looked at.
    async fn role(&self, token: &Token) -> Finding {
        let url = self.settings.process_api_url.clone();
        let answer = match self.send(Method::POST, url, Some(token), Bytes::from_static(b"{}")).await {
            Ok(answer) => answer,
            Err(error) => {
                return Finding::Trouble(format!(
                    "PROCESS_API_URL: an execution without inputs was not answered ({error})"
                ));
            }
        };
        let said = said(&answer, Some(token));
        let role = &self.settings.auth_role;
        match answer.status.as_u16() {
            400 => Finding::Fine(format!(
                "role: {role} may execute the process (asked by an execution without inputs, refused as it should be; nothing was inserted)"
            )),
            401 | 403 => Finding::Trouble(format!(
                "AUTH_ROLE, AUTH_ITEM_ID, AUTH_ITEM_TYPE: the resource server does not let a token of role {role} execute the process \
                 ({said}): expected role admin for its own URL as item, of type resource_server"
            )),
            404 => no_process(&said),
            300..400 => redirected(answer.status),
            200..300 => Finding::Trouble(format!(
                "PROCESS_API_URL: an execution without inputs is answered {said}, where {TITLE} refuses it: expected that process's \
                 execution endpoint"
            )),
            _ => Finding::Trouble(format!(
                "PROCESS_API_URL: an execution without inputs is answered {said}, where 400 is expected"
            )),
        }
    }

    /// A job that nobody has: the role is looked at first.
    async fn jobs(&self, token: &Token, role: &str) -> Finding {
        let Some(url) = below(&self.settings.process_api_url, &format!("jobs/{}", Uuid::new_v4())) else {
            return Finding::Note("jobs: their address is not known".to_owned());
        };
        let answer = match self.send(Method::GET, url, Some(token), Bytes::new()).await {
            Ok(answer) => answer,
            Err(error) => return Finding::Trouble(format!("JOB_AUTH_ROLE: a job could not be asked for ({error})")),
        };
        let said = said(&answer, Some(token));
        match answer.status.as_u16() {
            404 => Finding::Fine(format!("jobs: {role} may read them (asked for one that does not exist)")),
            401 | 403 => Finding::Trouble(format!(
                "JOB_AUTH_ROLE: a token of role {role} may not read jobs ({said}): expected provider, for the same client"
            )),
            _ => Finding::Note(format!(
                "jobs: asked for one that does not exist, the resource server answered {said} where 404 is expected"
            )),
        }
    }

    async fn send(&self, method: Method, url: Url, token: Option<&Token>, body: Bytes) -> Result<Response, SendError> {
        let mut headers = HeaderMap::new();
        if let Some(Ok(authorization)) = token.map(Token::header) {
            headers.insert(header::AUTHORIZATION, authorization);
        }
        if !body.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        self.client.send(Request { method, url, headers, body }, TIMEOUT).await
    }
}

fn no_process(said: &str) -> Finding {
    Finding::Trouble(format!(
        "PROCESS_API_URL: no such process ({said}): expected the id of {TITLE}, as GET /processes at the resource server lists it"
    ))
}

fn redirected(status: StatusCode) -> Finding {
    Finding::Trouble(format!(
        "PROCESS_API_URL: redirects are never followed, and {} is one: expected the address that it leads to (https, no slash at the end)",
        status.as_u16()
    ))
}

fn json(answer: &Response) -> Value {
    answer.body.as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default()
}

fn said(answer: &Response, token: Option<&Token>) -> String {
    let words = words(&json(answer));
    let words = token.map_or_else(|| words.clone(), |token| token.censor(&words));
    if words.is_empty() { answer.status.to_string() } else { format!("{}: {words}", answer.status) }
}

fn shown(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(80).collect()
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
