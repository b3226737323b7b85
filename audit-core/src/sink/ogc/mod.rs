//! The OGC Resource Server's process `AuditLogsIngestion`.

pub mod answer;
pub mod check;
pub mod execution;
pub mod jobs;
pub mod token;

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};
use reqwest::Url;
use secrecy::SecretString;
use tokio::time::Instant;
use uuid::Uuid;

use crate::client::{Client, Connections, Request, SendError, SetUpError, Trust};
use crate::clock::Clock;
use crate::delivery::{Posted, Upstream};
use crate::ledger::BatchId;
use crate::record::MeteringRecord;
use answer::{Answer, judge};
use token::{Credentials, Token, TokenError, Tokens};

/// How the resource server is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `PROCESS_API_URL`.
    pub process_api_url: Url,
    /// Who asks for tokens, and where.
    pub credentials: Credentials,
    /// `AUTH_ROLE`.
    pub auth_role: String,
    /// `JOB_AUTH_ROLE`.
    pub job_auth_role: Option<String>,
    /// How long one request may take, answer included.
    pub request_timeout: Duration,
    /// How long a job may take.
    pub job_timeout: Duration,
    /// Whom connections trust.
    pub trust: Trust,
}

impl Settings {
    /// The usual times: 30 s a request, 5 min a job. Certificates are the web's.
    #[must_use]
    pub fn new(
        process_api_url: Url,
        auth_url: Url,
        (client_id, client_secret): (String, SecretString),
        (item_id, item_type): (String, String),
        auth_role: String,
        job_auth_role: Option<String>,
    ) -> Self {
        Self {
            process_api_url,
            credentials: Credentials { auth_url, client_id, client_secret, item_id, item_type },
            auth_role,
            job_auth_role,
            request_timeout: Duration::from_secs(30),
            job_timeout: Duration::from_mins(5),
            trust: Trust::default(),
        }
    }
}

/// A resource server.
#[derive(Debug)]
pub struct Ogc {
    process_api_url: Url,
    /// For executions.
    fresh: Client,
    /// For jobs.
    reused: Client,
    tokens: Tokens,
    job_tokens: Option<Tokens>,
    request_timeout: Duration,
    job_timeout: Duration,
    clock: Clock,
}

impl Ogc {
    /// A resource server; nothing is sent yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, SetUpError> {
        let Settings { process_api_url, credentials, auth_role, job_auth_role, request_timeout, job_timeout, trust } =
            settings;
        let reused = Client::new(Connections::Reused, trust)?;
        let tokens = |role| Tokens::new(reused.clone(), credentials.clone(), role, request_timeout, clock.clone());
        Ok(Self {
            process_api_url,
            fresh: Client::new(Connections::Fresh, trust)?,
            tokens: tokens(auth_role),
            job_tokens: job_auth_role.map(tokens),
            reused,
            request_timeout,
            job_timeout,
            clock,
        })
    }

    async fn execute(&self, token: &Token, batch: BatchId, records: &[&MeteringRecord], until: Instant) -> Posted {
        let request = match self.request(token, batch, records) {
            Ok(request) => request,
            Err(message) => return Posted { answer: Answer::Misconfigured(message), status: None },
        };
        let timeout = self.request_timeout.min(until.saturating_duration_since(Instant::now()));
        match self.fresh.send(request, timeout).await {
            Ok(response) => {
                let (status, body) = (response.status, response.body.as_deref());
                let answer = judge(status, &response.headers, body, records.len(), self.clock.now());
                Posted { answer: censored(answer, token), status: Some(status.as_u16()) }
            }
            Err(error @ SendError::NotSent(_)) => {
                Posted { answer: Answer::Transient { retry_after: None, message: error.to_string() }, status: None }
            }
            Err(error @ SendError::NoAnswer(_)) => Posted { answer: Answer::Unknown(error.to_string()), status: None },
        }
    }

    fn request(&self, token: &Token, batch: BatchId, records: &[&MeteringRecord]) -> Result<Request, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, token.header().map_err(|error| error.to_string())?);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = execution::body(batch, records).map_err(|error| error.to_string())?;
        Ok(Request { method: Method::POST, url: self.process_api_url.clone(), headers, body })
    }

    /// Follows a job where the answer says that it is told of, or, as the server may call itself by another name there than it has
    /// from here, beside the process.
    async fn follow(&self, location: Option<&str>, job: Option<Uuid>, until: Instant) -> Answer {
        let Some(tokens) = &self.job_tokens else { return Answer::Unfollowable(NO_JOB_ROLE.to_owned()) };
        let told = location.and_then(|location| jobs::job_url(&self.process_api_url, location));
        let beside = || execution::below(&self.process_api_url, &format!("jobs/{}", job?));
        let Some(url) = told.or_else(beside) else {
            return Answer::Unfollowable(
                "PROCESS_API_URL: the process answers 201 without a job's id, and with no address at its own origin; no token is sent \
                 elsewhere"
                    .to_owned(),
            );
        };
        let until = until.min(Instant::now() + self.job_timeout);
        jobs::follow(&self.reused, tokens, &url, self.request_timeout, until).await
    }
}

const NO_JOB_ROLE: &str = "JOB_AUTH_ROLE: the process answers 201 before it has done anything; set this role (usually `provider`) so that \
                           jobs can be read, or register the process for sync-execute";

/// `answer` without `token` in its words, should the server repeat it.
fn censored(answer: Answer, token: &Token) -> Answer {
    match answer {
        Answer::Transient { retry_after, message } => {
            Answer::Transient { retry_after, message: token.censor(&message) }
        }
        Answer::Refused(message) => Answer::Refused(token.censor(&message)),
        Answer::Doubtful(message) => Answer::Doubtful(token.censor(&message)),
        Answer::Unauthorized(message) => Answer::Unauthorized(token.censor(&message)),
        Answer::Misconfigured(message) => Answer::Misconfigured(token.censor(&message)),
        Answer::Unknown(message) => Answer::Unknown(token.censor(&message)),
        Answer::Unfollowable(message) => Answer::Unfollowable(token.censor(&message)),
        other @ (Answer::Done | Answer::TooLarge | Answer::Accepted { .. }) => other,
    }
}

impl Upstream for Ogc {
    type Pass = Token;

    async fn pass(&self) -> Result<Token, TokenError> {
        self.tokens.get().await
    }

    async fn refuse(&self, pass: &Token) {
        self.tokens.invalidate(pass).await;
    }

    async fn post(&self, pass: &Token, batch: BatchId, records: &[&MeteringRecord], until: Instant) -> Posted {
        let mut posted = self.execute(pass, batch, records, until).await;
        if let Answer::Accepted { location, job } = posted.answer {
            posted.answer = self.follow(location.as_deref(), job, until).await;
        }
        posted
    }

    async fn can_follow(&self) -> Result<(), String> {
        let tokens = self.job_tokens.as_ref().ok_or(NO_JOB_ROLE)?;
        jobs::may_read(&self.reused, tokens, &self.process_api_url, self.request_timeout).await
    }

    fn weight_bytes(record: &MeteringRecord) -> usize {
        execution::weight_bytes(record)
    }
}

#[cfg(test)]
mod tests;
