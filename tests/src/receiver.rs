//! The standalone receiver as a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::Process;
use crate::{binary, free_port, http_client, tools};

/// The token of every receiver.
pub const TOKEN: &str = "webhook-t0ken-5ec2e7";

const START_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A receiver, running or to be started again on the same spool.
#[derive(Debug)]
pub struct Receiver {
    process: Process,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    client: reqwest::Client,
    // For looking at it, which also tests do that share it.
    looking: reqwest::Client,
    port: u16,
}

/// What `/metrics` says: `name` or `name{labels}`, and its value.
pub type Metrics = BTreeMap<String, f64>;

impl Receiver {
    /// Starts one in `folder`, where its spool is too, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready; the message has its log.
    pub async fn start(folder: &Path, environment: Vec<(String, String)>) -> Result<Self> {
        Self::start_until(folder, environment, "/ready").await
    }

    /// As [`Receiver::start`], but waits only until `page` answers: `/` does as soon as it listens.
    ///
    /// # Errors
    /// When it does not; the message has its log.
    pub async fn start_until(folder: &Path, environment: Vec<(String, String)>, page: &str) -> Result<Self> {
        let port = free_port()?;
        let process = Self::spawn(folder, &environment, port)?;
        let client = http_client::client(Duration::from_secs(30))?;
        let looking = http_client::connecting_anew(Duration::from_secs(30))?;
        let mut own = Self { process, folder: folder.to_owned(), environment, client, looking, port };
        own.answers(page).await?;
        Ok(own)
    }

    /// Starts the program without waiting for anything, for starts that fail.
    ///
    /// # Errors
    /// When it is not built.
    pub fn spawn(folder: &Path, environment: &[(String, String)], port: u16) -> Result<Process> {
        let mut command = tools::command(&binary("lambda-minio-http")?);
        command
            .current_dir(folder)
            .env("WEBHOOK_AUTH_TOKEN", TOKEN)
            .env("BIND_ADDRESS", "127.0.0.1")
            .env("PORT", port.to_string())
            .envs(environment.iter().map(|(name, value)| (name, value)));
        Process::spawn("lambda-minio-http", command)
    }

    /// Starts it again after its end, on the same port and spool.
    ///
    /// # Errors
    /// As [`Receiver::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.restart_until("/ready").await
    }

    /// As [`Receiver::restart`], but waits only until `page` answers.
    ///
    /// # Errors
    /// As [`Receiver::start`].
    pub async fn restart_until(&mut self, page: &str) -> Result<()> {
        self.process = Self::spawn(&self.folder, &self.environment, self.port)?;
        self.answers(page).await
    }

    /// Waits until `page` answers with a success.
    ///
    /// # Errors
    /// When it does not within the time that a start may take; the message has the log.
    pub async fn answers(&mut self, page: &str) -> Result<()> {
        let (client, page) = (self.client.clone(), self.url(page));
        self.process.ready(START_LIMIT, async |_| http_client::answers(&client, &page).await).await
    }

    /// The process, to end it or to look at its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// All that it wrote, on either output.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.stdout() + &self.process.stderr()
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `path` (with its leading `/`) as a URL.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A client that follows no redirects.
    #[must_use]
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Posts entries with the token and answers the status.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> Result<u16> {
        let request = self.client.post(self.url("/auditlogs/processor")).header("authorization", TOKEN);
        Ok(request.body(body).send().await.context("POST entries")?.status().as_u16())
    }

    /// What `/metrics` says now.
    ///
    /// # Errors
    /// When there is no answer, or a line has no value.
    pub async fn metrics(&self) -> Result<Metrics> {
        let text = self.looking.get(self.url("/metrics")).send().await?.error_for_status()?.text().await?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let read = |line: &str| {
            let (name, value) = line.rsplit_once(' ').with_context(|| format!("a value in {line}"))?;
            Ok((name.to_owned(), value.parse().with_context(|| line.to_owned())?))
        };
        lines.map(read).collect()
    }

    /// Waits until `done` says so of the metrics, and answers them.
    ///
    /// # Errors
    /// When that takes longer than `limit`; the message has the metrics and the log.
    pub async fn wait(&self, limit: Duration, done: impl Fn(&Metrics) -> bool) -> Result<Metrics> {
        let start = Instant::now();
        loop {
            let metrics = self.metrics().await?;
            if done(&metrics) {
                return Ok(metrics);
            }
            if start.elapsed() > limit {
                bail!("not within {limit:?}: {metrics:?}\n{}", self.process.log_tail());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until nothing is pending, and answers the metrics.
    ///
    /// # Errors
    /// When that takes longer than a minute.
    pub async fn settled(&self) -> Result<Metrics> {
        let none = |metrics: &Metrics, name: &str| metrics.get(name) == Some(&0.0);
        self.wait(Duration::from_mins(1), |own| none(own, "s3audit_pending") && none(own, "s3audit_spool_entries"))
            .await
    }
}

/// The sum of a metric over its labels; 0 where it has none yet.
#[must_use]
pub fn sum(metrics: &Metrics, name: &str) -> f64 {
    let labelled = format!("{name}{{");
    metrics.iter().filter(|(own, _)| *own == name || own.starts_with(&labelled)).map(|(_, value)| value).sum()
}

/// Whether both equations of the accounts hold.
#[must_use]
pub fn adds_up(metrics: &Metrics) -> bool {
    let [records, downloads, skipped, duplicates, quarantined, delivered] =
        ["records", "downloads", "skipped", "duplicates", "quarantined", "delivered"]
            .map(|name| sum(metrics, &format!("s3audit_{name}_total")));
    let [pending, held] = ["pending", "held"].map(|name| sum(metrics, &format!("s3audit_{name}")));
    let equal = |one: f64, other: f64| (one - other).abs() < 0.5;
    equal(records, downloads + skipped + duplicates + quarantined) && equal(downloads, delivered + pending + held)
}
