//! A Redis server that keeps its data over a kill, so that tests can take it away and bring it back.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::process::{Directory, Process};
use crate::{free_port, tools};

const START_LIMIT: Duration = Duration::from_secs(30);
const COMMAND_LIMIT: Duration = Duration::from_secs(5);

/// A running server.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    directory: Directory,
    port: u16,
}

impl Redis {
    /// Starts one.
    ///
    /// # Errors
    /// When Redis is not installed or does not start.
    pub async fn start() -> Result<Self> {
        let directory = Directory::new()?;
        let port = free_port()?;
        let process = spawn(&directory, port)?;
        let mut server = Self { process, directory, port };
        server.ready().await?;
        Ok(server)
    }

    /// Its `redis://` URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// The server's process, to stop it (`STOP`, `CONT`) or kill it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Kills it and starts it again on the same port, with the data it had.
    ///
    /// # Errors
    /// When it does not start again.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process = spawn(&self.directory, self.port)?;
        self.ready().await
    }

    /// Sends one command, its words separated by spaces, and answers the reply's text (`nil` for none).
    ///
    /// # Errors
    /// When the server is out of reach, answers an error, or answers with a list.
    pub async fn command(&self, words: &str) -> Result<String> {
        tokio::time::timeout(COMMAND_LIMIT, command(self.port, words)).await.context("redis does not answer")?
    }

    async fn ready(&mut self) -> Result<()> {
        let port = self.port;
        self.process.ready(START_LIMIT, async |_| command(port, "PING").await.is_ok()).await
    }
}

fn spawn(directory: &Directory, port: u16) -> Result<Process> {
    let mut server = tools::command(&tools::required("redis-server")?);
    server.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir"]);
    server.arg(directory.path());
    Process::spawn("redis-server", server)
}

async fn command(port: u16, words: &str) -> Result<String> {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?);
    stream.write_all(format!("{words}\r\n").as_bytes()).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let reply = line.trim_end();
    match (reply.chars().next(), reply.get(1..).unwrap_or_default()) {
        (Some('+' | ':'), text) => Ok(text.to_owned()),
        (Some('$'), "-1") => Ok("nil".to_owned()),
        (Some('$'), length) => {
            let mut text = vec![0; length.parse().context("redis: length of a reply")?];
            stream.read_exact(&mut text).await?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        _ => bail!("redis answered {reply:?} to {words:?}"),
    }
}
