//! The standalone receiver, and what it says of itself.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::{Process, Upstreams, binary, free_port, http_client, tools};
use serde_json::{Value, json};

use crate::show::say;

const TOKEN: &str = "demo-webhook-token";
/// [`TOKEN`], as MinIO is told to send it.
pub(crate) const AUTHORIZATION: &str = "Bearer demo-webhook-token";

/// A running receiver.
pub(crate) struct Receiver {
    process: Process,
    client: reqwest::Client,
    address: String,
}

impl Receiver {
    pub(crate) async fn start(upstreams: &Upstreams, place: &Path) -> Result<Self> {
        let port = free_port()?;
        let mut command = tools::command(&binary("lambda-minio-http")?);
        command
            .current_dir(place)
            .envs(crate::sink(upstreams, place))
            .env("WEBHOOK_AUTH_TOKEN", TOKEN)
            .env("BIND_ADDRESS", "127.0.0.1")
            .env("PORT", port.to_string());
        let mut process = Process::spawn("lambda-minio-http", command)?;
        let (client, address) = (http_client::client(Duration::from_secs(10))?, format!("http://127.0.0.1:{port}"));
        process
            .ready(Duration::from_secs(30), async |_| http_client::answers(&client, &format!("{address}/ready")).await)
            .await?;
        let status = client.get(&address).send().await?.text().await?;
        say(&format!("curl {address} → {status}"));
        Ok(Self { process, client, address })
    }

    /// `path` (with its leading `/`) as a URL.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    pub(crate) async fn post(&self, entries: Vec<u8>) -> Result<()> {
        let url = self.url("/auditlogs/processor");
        let answer = self.client.post(&url).header("authorization", TOKEN).body(entries).send().await?;
        say(&format!("POST {url} → {}", answer.status()));
        ensure!(answer.status().is_success(), "the receiver refused the entries");
        Ok(())
    }

    /// The accounts once nothing is pending.
    pub(crate) async fn delivered(&self) -> Result<Value> {
        self.accounts(|metrics| metrics["pending"] == 0 && metrics["analytics_pending"] == 0).await
    }

    /// The accounts once `done` says so of them.
    pub(crate) async fn accounts(&self, done: impl Fn(&Value) -> bool) -> Result<Value> {
        let until = Instant::now() + Duration::from_mins(1);
        loop {
            let text = self.client.get(self.url("/metrics")).send().await?.text().await?;
            let metrics = accounts(&text)?;
            if done(&metrics) {
                return Ok(metrics);
            }
            if Instant::now() > until {
                bail!("the receiver did not deliver in time: {metrics}\n{}", self.process.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.process.terminate(Duration::from_secs(25)).await?;
        Ok(())
    }
}

/// `/metrics` in the tally's shape.
fn accounts(text: &str) -> Result<Value> {
    let mut tally = json!({ "skipped": {}, "quarantined": {} });
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').context("a metric's value")?;
        let name = name.strip_prefix("s3audit_").unwrap_or(name);
        let Ok(value) = value.parse::<u64>() else { continue };
        if let Some(outcome) = name.strip_prefix("analytics_total{outcome=\"") {
            tally[format!("analytics_{}", outcome.trim_end_matches("\"}"))] = value.into();
            continue;
        }
        match name.split_once("_total{reason=\"").map(|(family, reason)| (family, reason.trim_end_matches("\"}"))) {
            Some((family, reason)) => tally[family][reason] = value.into(),
            None => tally[name.trim_end_matches("_total")] = value.into(),
        }
    }
    Ok(tally)
}
