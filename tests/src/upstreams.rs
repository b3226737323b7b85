//! The project's stand-ins of the auth server, the OGC Resource Server and Plausible, as a process.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::{Directory, Process};
use crate::{binary, http_client, tools};

const START_LIMIT: Duration = Duration::from_secs(30);

/// Running stand-ins.
#[derive(Debug)]
pub struct Upstreams {
    process: Process,
    directory: Directory,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    address: String,
    client: reqwest::Client,
}

impl Upstreams {
    /// Starts them on a free port with the given environment (`DATABASE_URL`; without it they keep an embedded file).
    ///
    /// # Errors
    /// When the binary is not built or does not start.
    pub async fn start(environment: &[(&str, &str)]) -> Result<Self> {
        Self::start_with(environment, &[]).await
    }

    /// As [`Upstreams::start`], with further arguments.
    ///
    /// # Errors
    /// As [`Upstreams::start`].
    pub async fn start_with(environment: &[(&str, &str)], arguments: &[&str]) -> Result<Self> {
        let directory = Directory::new()?;
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let process = spawn(&directory, &environment, &arguments, "0").await?;
        let address = address(&process.stdout()).context("local-upstreams: no address on its standard output")?;
        let client = http_client::connecting_anew(Duration::from_secs(10))?;
        Ok(Self { process, directory, environment, arguments, address, client })
    }

    /// Starts them again at the same address, killing them first if they still run. Their faults are forgotten.
    ///
    /// # Errors
    /// When they do not start again.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        let port = self.address.rsplit(':').next().unwrap_or_default();
        self.process = spawn(&self.directory, &self.environment, &self.arguments, port).await?;
        Ok(())
    }

    /// `path` (with its leading `/`) as a URL of the stand-ins.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Switches a fault on, as `POST /_dev/faults` takes it.
    ///
    /// # Errors
    /// When it is refused; the message has what they said.
    pub async fn fault(&self, fault: &Value) -> Result<()> {
        let answer = self.client.post(self.url("/_dev/faults")).json(fault).send().await.context("set a fault")?;
        let status = answer.status();
        if !status.is_success() {
            bail!("local-upstreams refused the fault {fault}: {status} {}", answer.text().await?);
        }
        Ok(())
    }

    /// Switches all faults off.
    ///
    /// # Errors
    /// When they do not answer.
    pub async fn clear_faults(&self) -> Result<()> {
        let answer = self.client.delete(self.url("/_dev/faults")).send().await;
        answer.and_then(reqwest::Response::error_for_status).context("clear faults")?;
        Ok(())
    }

    /// What `GET path` answers, such as `/_dev/rows` or `/_dev/requests`.
    ///
    /// # Errors
    /// When it is no success with JSON.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.client.get(self.url(path)).send().await.and_then(reqwest::Response::error_for_status);
        answer.with_context(|| format!("GET {path}"))?.json().await.with_context(|| format!("GET {path}"))
    }

    /// The process, to kill it or look at its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

async fn spawn(
    directory: &Directory,
    environment: &[(String, String)],
    arguments: &[String],
    port: &str,
) -> Result<Process> {
    let mut server: Command = tools::command(&binary("local-upstreams")?);
    let environment = environment.iter().map(|(name, value)| (name, value));
    server.args(["--port", port]).args(arguments).envs(environment).current_dir(directory.path());
    let mut process = Process::spawn("local-upstreams", server)?;
    process.ready(START_LIMIT, async |process| address(&process.stdout()).is_some()).await?;
    Ok(process)
}

/// The first address on this machine that a whole line names.
fn address(stdout: &str) -> Option<String> {
    let whole_lines = stdout.get(..stdout.rfind('\n')?)?;
    let (_, rest) = whole_lines.split_once("http://127.0.0.1:")?;
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("http://127.0.0.1:{port}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn address_is_taken_from_whole_lines_only() {
        assert_eq!(super::address("listening on http://127.0.0.1:80"), None);
        let line = "listening on http://127.0.0.1:8091 (development only)\n";
        assert_eq!(super::address(line).as_deref(), Some("http://127.0.0.1:8091"));
    }
}
