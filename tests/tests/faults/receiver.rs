//! The standalone receiver with what is around it: a database, the stand-ins of its upstreams, and its own directories.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use e2e::process::Directory;
use e2e::{Database, Postgres, Process, Upstreams, binary, free_port, http_client, tools};
use serde_json::Value;

use crate::account::Account;
use crate::entry::Download;
use crate::load::Load;

pub(crate) const TOKEN: &str = "fault-token";
pub(crate) const SYNC: &str = "/processes/5a6b1d0e-6c0f-4f8e-9b55-0d7c1a2e3f01/execution";
pub(crate) const ASYNC: &str = "/processes/5a6b1d0e-6c0f-4f8e-9b55-0d7c1a2e3f02/execution";
const START_LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(30);

/// A receiver and its upstreams.
pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) upstreams: Upstreams,
    process: Option<Process>,
    directory: Directory,
    environment: BTreeMap<String, String>,
    port: u16,
    client: reqwest::Client,
}

impl World {
    /// Upstreams with further `arguments`, and a receiver, not started, with further variables.
    pub(crate) async fn new(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let database = Postgres::shared().await.unwrap().database().await.unwrap();
        let upstreams = Upstreams::start_with(&[("DATABASE_URL", database.url())], arguments).await.unwrap();
        let directory = Directory::new().unwrap();
        let port = free_port().unwrap();
        let mut all = sink(&upstreams, SYNC);
        for (name, value) in [
            ("BIND_ADDRESS", "127.0.0.1"),
            ("WEBHOOK_AUTH_TOKEN", TOKEN),
            ("BATCH_MAX_RECORDS", "25"),
            ("LEASE_SECONDS", "60"),
            ("LOG_FORMAT", "text"),
        ] {
            all.insert(name.to_owned(), value.to_owned());
        }
        let client = http_client::client(Duration::from_secs(5)).unwrap();
        let mut own = Self { database, upstreams, process: None, directory, environment: all, port, client };
        for (name, value) in environment {
            own.set(name, value);
        }
        own
    }

    /// Sets a variable for the next start.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Has the process answer before it has done anything.
    pub(crate) fn asynchronous(&mut self) {
        let url = self.upstreams.url(ASYNC);
        self.set("PROCESS_API_URL", &url);
    }

    fn spawn(&self, port: u16) -> Process {
        let mut command = tools::command(&binary("lambda-minio-http").unwrap());
        command.current_dir(self.directory.path()).envs(&self.environment).env("PORT", port.to_string());
        Process::spawn("receiver", command).unwrap()
    }

    /// Another receiver with the same directories.
    pub(crate) fn second(&self) -> Process {
        self.spawn(free_port().unwrap())
    }

    /// Starts the receiver and waits until it takes entries.
    pub(crate) async fn start(&mut self) {
        let mut process = self.spawn(self.port);
        let page = self.url("/");
        process.ready(START_LIMIT, async |_| http_client::answers(&self.client, &page).await).await.unwrap();
        self.process = Some(process);
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the receiver was started")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn load(&self, run: &str) -> Load {
        Load::new(&self.url("/auditlogs/processor"), run)
    }

    /// Posts `body` once and answers the status.
    pub(crate) async fn post(&self, body: &str) -> u16 {
        let request = self.client.post(self.url("/auditlogs/processor"));
        let request = request.header("Authorization", format!("Bearer {TOKEN}")).timeout(START_LIMIT);
        request.body(body.to_owned()).send().await.unwrap().status().as_u16()
    }

    /// `/metrics`, summed over labels; `None` while there is no answer.
    pub(crate) async fn metrics(&self) -> Option<BTreeMap<String, u64>> {
        let text = self.client.get(self.url("/metrics")).send().await.ok()?.text().await.ok()?;
        let mut sums = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let name = name.split('{').next().unwrap().trim_start_matches("s3audit_");
            if let Ok(value) = value.parse::<u64>() {
                *sums.entry(name.to_owned()).or_default() += value;
            }
        }
        Some(sums)
    }

    /// Waits until nothing is pending, and answers the metrics of that moment.
    pub(crate) async fn settle(&mut self, limit: Duration) -> BTreeMap<String, u64> {
        let start = Instant::now();
        loop {
            let metrics = self.metrics().await.unwrap_or_default();
            let zero = |name| metrics.get(name) == Some(&0);
            if zero("spool_entries") && zero("pending") {
                return metrics;
            }
            let log = || self.process.as_ref().map(Process::log_tail).unwrap_or_default();
            assert!(
                start.elapsed() <= limit,
                "pending after {limit:?}: {metrics:?}
{}",
                log()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    pub(crate) fn held_directory(&self) -> PathBuf {
        self.directory.path().join("held")
    }

    /// The lines of all held batches; no download is in two of them.
    pub(crate) fn held(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut keys = std::collections::BTreeSet::new();
        for file in std::fs::read_dir(self.held_directory()).into_iter().flatten() {
            let batch: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
            for line in batch["lines"].as_array().unwrap() {
                assert!(keys.insert(line["key"].as_str().unwrap().to_owned()), "held twice: {line}");
                lines.push(line["line"].as_str().unwrap().to_owned());
            }
        }
        lines
    }

    /// Counts the rows against what was sent.
    pub(crate) async fn account(&self, sent: &[Download]) -> Account {
        Account::of(&self.database.connect().await.unwrap(), sent, &self.held()).await
    }
}

/// Checks the accounting equation of `/metrics` when nothing is pending.
pub(crate) fn adds_up(metrics: &BTreeMap<String, u64>) {
    let of = |name: &str| metrics.get(name).copied().unwrap_or(0);
    let accounted = of("downloads_total") + of("skipped_total") + of("duplicates_total") + of("quarantined_total");
    assert_eq!(of("records_total"), accounted, "records: {metrics:?}");
    assert_eq!(of("downloads_total"), of("delivered_total") + of("held"), "downloads: {metrics:?}");
}

/// The variables of the metering sink.
pub(crate) fn sink(upstreams: &Upstreams, process: &str) -> BTreeMap<String, String> {
    [
        ("AUTH_URL", upstreams.url("/auth/v1/token")),
        ("CLIENT_ID", "local-client".to_owned()),
        ("CLIENT_SECRET", "local-secret".to_owned()),
        ("AUTH_ITEM_ID", "localhost".to_owned()),
        ("AUTH_ITEM_TYPE", "resource_server".to_owned()),
        ("AUTH_ROLE", "admin".to_owned()),
        ("PROCESS_API_URL", upstreams.url(process)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
