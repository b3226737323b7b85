//! The few calls of MinIO's admin API that the set-up needs.

mod error;
mod info;
mod sealed;
mod signed;
mod stored;

use std::time::Duration;

use audit_core::client::{Client, Connections, Request, Response, Trust};
use audit_core::clock::Clock;
use bytes::Bytes;
use http::Method;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

pub(super) use self::error::AdminError;
pub(super) use self::info::Info;
pub(super) use self::stored::Stored;

const TIMEOUT: Duration = Duration::from_secs(30);
/// A large cluster tells of each of its drives.
const ANSWER_CAP_BYTES: usize = 16 << 20;
/// Set where a change is in force at once.
const APPLIED: &str = "x-minio-config-applied";

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) access: String,
    pub(super) secret: SecretString,
}

/// A client of the admin API.
pub(super) struct Admin {
    client: Client,
    endpoint: Url,
    keys: Keys,
    clock: Clock,
}

impl Admin {
    pub(super) fn new(endpoint: Url, keys: Keys) -> anyhow::Result<Self> {
        let client = Client::new(Connections::Fresh, Trust::Machine)?.with_answer_cap(ANSWER_CAP_BYTES);
        Ok(Self { client, endpoint, keys, clock: Clock::system() })
    }

    /// All targets of a subsystem such as `audit_webhook`, with the environment variables that win over what is stored.
    pub(super) async fn stored(&self, subsystem: &str) -> Result<Stored, AdminError> {
        let answer = self.call(Method::GET, "get-config-kv", &[("key", subsystem)], Bytes::new()).await?;
        let sealed = answer.body.ok_or_else(|| AdminError::NoAnswer("the answer broke off".to_owned()))?;
        let text = sealed::open(self.keys.secret.expose_secret(), &sealed)?;
        Ok(Stored::parse(subsystem, &String::from_utf8_lossy(&text)))
    }

    /// Merges `line` (`SUBSYSTEM:TARGET key="value" …`) into the configuration; true where that is in force without a restart.
    pub(super) async fn store(&self, line: &str) -> Result<bool, AdminError> {
        let sealed = sealed::seal(self.keys.secret.expose_secret(), line.as_bytes())?;
        let answer = self.call(Method::PUT, "set-config-kv", &[], sealed.into()).await?;
        Ok(answer.headers.get(APPLIED).is_some_and(|value| value == "true"))
    }

    /// Asks every server of the cluster to start again.
    pub(super) async fn restart(&self) -> Result<(), AdminError> {
        let query = [("action", "restart"), ("dry-run", "false"), ("type", "2")];
        self.call(Method::POST, "service", &query, Bytes::new()).await.map(drop)
    }

    /// What the cluster tells of itself.
    pub(super) async fn info(&self) -> Result<Info, AdminError> {
        let answer = self.call(Method::GET, "info", &[], Bytes::new()).await?;
        let body = answer.body.unwrap_or_default();
        serde_json::from_slice(&body).map_err(|error| AdminError::NoAnswer(format!("server information: {error}")))
    }

    async fn call(
        &self,
        method: Method,
        name: &str,
        query: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response, AdminError> {
        let mut url = self.endpoint.clone();
        url.set_path(&format!("/minio/admin/v3/{name}"));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let headers = signed::headers(&self.keys, self.clock.now(), &method, &url, &body)?;
        let sent = self.client.send(Request { method, url, headers, body }, TIMEOUT).await;
        let answer = sent.map_err(|error| AdminError::NoAnswer(error.to_string()))?;
        if answer.status.is_success() { Ok(answer) } else { Err(AdminError::refused(&answer)) }
    }
}
