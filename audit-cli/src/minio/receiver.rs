//! The receiver, asked what MinIO will ask it.

use std::time::Duration;

use anyhow::{Result, bail};
use audit_core::client::{Client, Connections, Request, Trust};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::wait::until;

const TIMEOUT: Duration = Duration::from_secs(10);
/// `/metrics` is some kilobytes; a proxy's page may be anything.
const ANSWER_CAP_BYTES: usize = 1 << 20;

/// The receiver as this machine reaches it.
pub(super) struct Receiver {
    client: Client,
    entries: Url,
}

/// What `/metrics` says of entries so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// `s3audit_records_total`.
    pub(super) records: u64,
    /// Presigned downloads that carry no ids.
    pub(super) without_ids: u64,
}

impl Receiver {
    /// `entries` is the URL that entries are posted to.
    pub(super) fn new(entries: Url) -> Result<Self> {
        let client = Client::new(Connections::Fresh, Trust::Machine)?.with_answer_cap(ANSWER_CAP_BYTES);
        Ok(Self { client, entries })
    }

    /// Waits until it is up and would make entries durable. Behind a proxy of another path nobody knows where these pages are.
    pub(super) async fn ready(&self, limit: Duration) -> Result<()> {
        let what = format!("the receiver at {}", self.entries);
        let Some([status, ready, _]) = self.pages() else { return Ok(()) };
        until(&what, limit, async || {
            for page in [&status, &ready] {
                let answer = self.get(page).await?;
                if !answer.0.is_success() {
                    return Err(format!(
                        "it answers {} to GET {}: {}",
                        answer.0.as_u16(),
                        page.path(),
                        brief(&answer.1)
                    ));
                }
            }
            Ok(())
        })
        .await
    }

    /// Posts an empty probe with the token, as MinIO will send it.
    pub(super) async fn admits(&self, authorization: Option<&SecretString>) -> Result<()> {
        let mut headers = HeaderMap::new();
        if let Some(authorization) = authorization {
            let mut value = HeaderValue::from_str(authorization.expose_secret())?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let body = Bytes::from_static(b"{}");
        let request = Request { method: Method::POST, url: self.entries.clone(), headers, body };
        let answer = match self.client.send(request, TIMEOUT).await {
            Ok(answer) => answer,
            Err(error) => bail!("the receiver at {}: {error}", self.entries),
        };
        match answer.status.as_u16() {
            200..=299 => Ok(()),
            401 => bail!(
                "WEBHOOK_AUTH_TOKEN: expected the receiver's token, as it takes no entries without (it answers 401)"
            ),
            403 => bail!("WEBHOOK_AUTH_TOKEN: expected the token that the receiver was started with (it answers 403)"),
            404 | 405 => bail!(
                "RECEIVER_URL: expected the URL that the receiver takes entries at (it answers {})",
                answer.status.as_u16()
            ),
            300..=399 => bail!(
                "RECEIVER_URL: expected the receiver itself, found a redirect ({}), on which MinIO would lose entries",
                answer.status.as_u16()
            ),
            status => bail!("the receiver answers {status} to an empty probe"),
        }
    }

    /// What it has seen; `None` where it tells no such thing, as behind a function URL.
    pub(super) async fn seen(&self) -> Result<Option<Seen>, String> {
        let Some([_, _, metrics]) = self.pages() else { return Ok(None) };
        let (status, text) = self.get(&metrics).await?;
        Ok(status.is_success().then(|| seen(&text)).flatten())
    }

    /// `GET /`, `/ready` and `/metrics`, beside the path that entries are taken at.
    fn pages(&self) -> Option<[Url; 3]> {
        let base = self.entries.path().strip_suffix("auditlogs/processor")?;
        Some(["", "ready", "metrics"].map(|page| {
            let mut url = self.entries.clone();
            url.set_path(&format!("{base}{page}"));
            url
        }))
    }

    async fn get(&self, url: &Url) -> Result<(StatusCode, String), String> {
        let request = Request { method: Method::GET, url: url.clone(), headers: HeaderMap::new(), body: Bytes::new() };
        let answer = self.client.send(request, TIMEOUT).await.map_err(|error| error.to_string())?;
        let body = answer.body.ok_or_else(|| "its answer broke off".to_owned())?;
        Ok((answer.status, String::from_utf8_lossy(&body).into_owned()))
    }
}

fn seen(text: &str) -> Option<Seen> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.trim().parse().ok()
    };
    // A reason that never was has no line.
    let without_ids = value(r#"s3audit_skipped_total{reason="no_ids"}"#).unwrap_or(0);
    Some(Seen { records: value("s3audit_records_total")?, without_ids })
}

/// The start of a page, on one line.
fn brief(text: &str) -> String {
    let start: String = text.chars().take(200).collect();
    start.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_read_from_the_metrics() {
        let text = "# HELP x\ns3audit_records_total 12\ns3audit_skipped_total{reason=\"no_ids\"} 3\n# EOF\n";
        assert_eq!(seen(text), Some(Seen { records: 12, without_ids: 3 }));
        assert_eq!(seen("s3audit_records_total 0\n"), Some(Seen { records: 0, without_ids: 0 }));
        assert_eq!(seen("<html>"), None);
    }

    #[test]
    fn the_pages_are_beside_the_path_for_entries() {
        let of = |url: &str| Receiver::new(url.parse().unwrap()).unwrap().pages();
        let [status, ready, metrics] = of("http://receiver:8092/audit/auditlogs/processor").unwrap();
        assert_eq!(status.as_str(), "http://receiver:8092/audit/");
        assert_eq!(ready.as_str(), "http://receiver:8092/audit/ready");
        assert_eq!(metrics.as_str(), "http://receiver:8092/audit/metrics");
        assert_eq!(of("http://receiver:8092/in"), None);
    }
}
