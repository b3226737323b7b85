//! A real MinIO server, where there is one.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::process::{Directory, Process};
use crate::{aws, free_port, http_client, tools};

const START_LIMIT: Duration = Duration::from_mins(1);

/// A running server with one drive; its root account has the tests' keys.
#[derive(Debug)]
pub struct Minio {
    process: Process,
    directory: Directory,
    endpoint: String,
}

impl Minio {
    /// Starts one with further environment variables (`MINIO_AUDIT_WEBHOOK_…`). `None`, and a loud word about it on
    /// standard error, where no `minio` is installed.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(environment: &[(&str, &str)]) -> Result<Option<Self>> {
        let Some(program) = tools::tool("minio") else {
            not_run();
            return Ok(None);
        };
        let directory = Directory::new()?;
        let (port, console) = (free_port()?, free_port()?);
        let mut server = tools::command(&program);
        server
            .args(["server", "--quiet", "--address", &format!("127.0.0.1:{port}")])
            .args(["--console-address", &format!("127.0.0.1:{console}")])
            .arg(directory.path().join("drive"))
            .env("HOME", directory.path())
            .env("MINIO_ROOT_USER", aws::ACCESS_KEY)
            .env("MINIO_ROOT_PASSWORD", aws::SECRET_KEY)
            .env("MINIO_REGION", aws::REGION)
            .env("MINIO_UPDATE", "off")
            .env("MINIO_BROWSER", "off")
            .envs(environment.iter().copied());
        let mut process = Process::spawn("minio", server)?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let client = http_client::client(Duration::from_secs(5))?;
        let page = format!("{endpoint}/minio/health/ready");
        process.ready(START_LIMIT, async |_| http_client::answers(&client, &page).await).await?;
        Ok(Some(Self { process, directory, endpoint }))
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

    /// The server's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Runs `mc`, in whose arguments the server's alias is `local`, and answers its standard output.
    ///
    /// # Errors
    /// When `mc` is not installed or fails; the message has what it said.
    pub fn mc(&self, arguments: &[&str]) -> Result<String> {
        let mut command: Command = tools::command(&tools::required("mc")?);
        let authority = self.endpoint.trim_start_matches("http://");
        command
            .arg("--config-dir")
            .arg(self.directory.path().join("mc"))
            .args(arguments)
            .env("HOME", self.directory.path())
            .env("MC_HOST_local", format!("http://{}:{}@{authority}", aws::ACCESS_KEY, aws::SECRET_KEY))
            .stdin(Stdio::null());
        let output = command.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("mc {}: {said}{}", arguments.join(" "), String::from_utf8_lossy(&output.stdout));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

#[allow(clippy::print_stderr, reason = "a test that does not run must be seen not to")]
fn not_run() {
    eprintln!(
        "\n!!! NOT RUN: no `minio` in the tools' cache or on PATH (scripts/tools.sh test builds it, with Go) !!!\n"
    );
}
