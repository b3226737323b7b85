//! A real MinIO server, where there is one.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{Directory, Process};
use crate::{HeldOpen, aws, free_port, http_client, tools};

const START_LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(100);

/// A running server with one drive; its root account has the tests' keys.
#[derive(Debug)]
pub struct Minio {
    process: Process,
    directory: Directory,
    environment: Vec<(String, String)>,
    port: u16,
    endpoint: String,
}

impl Minio {
    /// Starts one with further environment variables (`MINIO_AUDIT_WEBHOOK_…`). `None`, and a loud word about it on
    /// standard error, where no `minio` is installed.
    ///
    /// # Errors
    /// When it does not start, or where [`available`] fails.
    pub async fn start(environment: &[(&str, &str)]) -> Result<Option<Self>> {
        if !available(std::thread::current().name().unwrap_or("a test"), &["minio"])? {
            return Ok(None);
        }
        let directory = Directory::new()?;
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let port = free_port()?;
        let process = spawn(&directory, &environment, port)?;
        let mut server = Self { process, directory, environment, port, endpoint: format!("http://127.0.0.1:{port}") };
        server.ready().await?;
        Ok(Some(server))
    }

    /// Starts it again on the same address and drive, killing it first if it still runs.
    ///
    /// # Errors
    /// When it does not start again.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process = spawn(&self.directory, &self.environment, self.port)?;
        self.ready().await
    }

    /// Has it restart itself, as an administrator does.
    ///
    /// # Errors
    /// When `mc` says so, or the server is not back in time.
    pub async fn restart_itself(&mut self) -> Result<()> {
        // It answers before it goes down: only its uptime tells that it is back.
        let mut before = self.uptime_seconds()?;
        while before < 2 {
            tokio::time::sleep(POLL).await;
            before = self.uptime_seconds()?;
        }
        self.mc(&["admin", "service", "restart", "--json", "local"])?;
        let start = Instant::now();
        while self.uptime_seconds().map_or(true, |now| now >= before + start.elapsed().as_secs()) {
            if start.elapsed() > START_LIMIT {
                bail!("minio did not restart within {START_LIMIT:?}\n{}", self.process.log_tail());
            }
            tokio::time::sleep(POLL).await;
        }
        self.ready().await
    }

    fn uptime_seconds(&self) -> Result<u64> {
        let info: serde_json::Value = serde_json::from_str(&self.mc(&["admin", "info", "--json", "local"])?)?;
        let uptime = info.pointer("/info/servers/0/uptime").and_then(serde_json::Value::as_u64);
        uptime.with_context(|| format!("no uptime in {info}"))
    }

    async fn ready(&mut self) -> Result<()> {
        let client = http_client::client(Duration::from_secs(5))?;
        let page = format!("{}/minio/health/ready", self.endpoint);
        self.process.ready(START_LIMIT, async |_| http_client::answers(&client, &page).await).await
    }

    /// Its S3 endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// An S3 client for it.
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        aws::s3(&self.endpoint)
    }

    /// A way to it for clients that close their connections early, on which no audit entry gets lost.
    ///
    /// # Errors
    /// When that has no port.
    pub fn held_open(&self) -> Result<HeldOpen> {
        HeldOpen::before(self.port)
    }

    /// The server's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A path for files beside its drive.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `mc` with the given arguments, in which the server's alias is `local`.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn mc_command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command: Command = tools::command(&tools::required("mc")?);
        command
            .arg("--config-dir")
            .arg(self.path("mc"))
            .args(arguments)
            .env("HOME", self.directory.path())
            .env("MC_HOST_local", mc_host(self.endpoint.trim_start_matches("http://")))
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Runs `mc`, in whose arguments the server's alias is `local`, and answers its standard output.
    ///
    /// # Errors
    /// When `mc` is not installed or fails; the message has what it said.
    pub fn mc(&self, arguments: &[&str]) -> Result<String> {
        let output = self.mc_command(arguments)?.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("mc {}: {said}{}", arguments.join(" "), String::from_utf8_lossy(&output.stdout));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// What `mc` takes in `MC_HOST_…` for a server at `authority`.
#[must_use]
pub fn mc_host(authority: &str) -> String {
    format!("http://{}:{}@{authority}", aws::ACCESS_KEY, aws::SECRET_KEY)
}

fn spawn(directory: &Directory, environment: &[(String, String)], port: u16) -> Result<Process> {
    let mut server = tools::command(&tools::required("minio")?);
    server
        .args(["server", "--quiet", "--address", &format!("127.0.0.1:{port}")])
        .args(["--console-address", &format!("127.0.0.1:{}", free_port()?)])
        .arg(directory.path().join("drive"))
        .env("HOME", directory.path())
        .env("MINIO_ROOT_USER", aws::ACCESS_KEY)
        .env("MINIO_ROOT_PASSWORD", aws::SECRET_KEY)
        .env("MINIO_REGION", aws::REGION)
        .env("MINIO_UPDATE", "off")
        .env("MINIO_BROWSER", "off")
        .envs(environment.iter().map(|(name, value)| (name, value)));
    Process::spawn("minio", server)
}

/// Whether `programs` (`minio`, `mc`) are here, so that `test` can run. Where they are not, standard error says that it did
/// not, past what the test harness keeps of tests that pass.
///
/// # Errors
/// When they must be here: in CI, on a machine with Go.
pub fn available(test: &str, programs: &[&str]) -> Result<bool> {
    let missing: Vec<_> = programs.iter().copied().filter(|name| tools::tool(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(true);
    }
    let missing = missing.join(" and no ");
    if tools::in_ci() && tools::tool("go").is_some() {
        bail!("{test}: no {missing}, although there is Go to build it with: run `scripts/tools.sh test`");
    }
    let why = format!("no {missing} in the tools' cache or on PATH (scripts/tools.sh test builds it, with Go)");
    std::io::stderr().write_all(format!("\n!!! NOT RUN: {test}: {why} !!!\n").as_bytes())?;
    Ok(false)
}
