//! A PostgreSQL server, and a database of its own for each test.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

use crate::process::{Directory, Process};
use crate::{free_port, tools};

/// How long the server may take to start on a busy machine.
const START_LIMIT: Duration = Duration::from_mins(1);

/// A running server, with nothing kept safe against a crash of the machine.
#[derive(Debug)]
pub struct Postgres {
    // Dropped before the directory it runs in.
    process: Process,
    _directory: Directory,
    port: u16,
}

impl Postgres {
    /// The server that all tests of this process share; started by the first that asks.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// A server of the caller's own.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub async fn start() -> Result<Self> {
        let directory = Directory::new()?;
        let user = account(directory.path())?;
        if let Some((uid, gid)) = user {
            chown(directory.path(), Some(uid), Some(gid))?;
        }
        let data = directory.path().join("data");
        initialise(&data, user)?;

        let port = free_port()?;
        let mut command = as_user("postgres", user)?;
        command.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k", ""]);
        for setting in ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200"] {
            command.args(["-c", setting]);
        }
        // QUIT is its immediate shutdown, which takes its children and shared memory along; KILL would leave both.
        let process = Process::spawn("postgres", command)?.stopping_by("QUIT");
        let mut server = Self { process, _directory: directory, port };
        let url = server.url("postgres");
        server.process.ready(START_LIMIT, async |_| connect(&url).await.is_ok()).await?;
        Ok(server)
    }

    /// A new, empty database on this server.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn database(&self) -> Result<Database> {
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        let client = connect(&self.url("postgres")).await?;
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.context("create database")?;
        Ok(Database { url: self.url(&name) })
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

/// One test's database.
#[derive(Debug, Clone)]
pub struct Database {
    url: String,
}

impl Database {
    /// Its `DATABASE_URL`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection, driven by a task of the current runtime.
    ///
    /// # Errors
    /// When the server is out of reach.
    pub async fn connect(&self) -> Result<Client> {
        connect(&self.url).await
    }
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connect to PostgreSQL")?;
    tokio::spawn(connection);
    Ok(client)
}

fn initialise(data: &Path, user: Option<(u32, u32)>) -> Result<()> {
    let mut command = as_user("initdb", user)?;
    command.args(["-A", "trust", "-N", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D"]).arg(data);
    let output = command.output().context("initdb")?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn as_user(program: &str, user: Option<(u32, u32)>) -> Result<Command> {
    let mut command = tools::command(&tools::required(program)?);
    command.current_dir("/");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    Ok(command)
}

/// PostgreSQL refuses to run as root: then it runs as the account that its package makes. `own` is a directory made by
/// this process, and so tells who this process is.
fn account(own: &Path) -> Result<Option<(u32, u32)>> {
    if std::fs::metadata(own)?.uid() != 0 {
        return Ok(None);
    }
    let accounts = std::fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
    let line = accounts.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line.context("running as root, and there is no account `postgres`")?.split(':').skip(2);
    let mut id = || fields.next().and_then(|id| id.parse().ok()).context("account `postgres` in /etc/passwd");
    Ok(Some((id()?, id()?)))
}
