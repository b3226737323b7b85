//! One child process: its output in files, waited for, and ended when dropped.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::reaper;

/// How long between two looks at a process.
const POLL: Duration = Duration::from_millis(10);
/// How long a process may take to end after the signal that its drop sends.
const DROP_WAIT: Duration = Duration::from_secs(5);
/// How much of each log an error shows, in bytes.
const LOG_TAIL_BYTES: usize = 4000;

/// A directory that is removed when dropped, and also when this process ends without dropping it.
#[derive(Debug)]
pub struct Directory(TempDir);

impl Directory {
    /// A new, empty directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self> {
        let own = tempfile::Builder::new().prefix("s3audit-").tempdir().context("temporary directory")?;
        reaper::directory(own.path());
        Ok(Self(own))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if std::fs::remove_dir_all(self.0.path()).is_ok() {
            reaper::removed(self.0.path());
        }
    }
}

/// A running (or ended) child process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    stop_signal: &'static str,
    logs: PathBuf,
    own_logs: Option<Directory>,
}

impl Process {
    /// Starts `command`, with its output in files of its own. See [`crate::tools::command`] for a clean environment.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(name: &str, command: Command) -> Result<Self> {
        let logs = Directory::new()?;
        let mut process = Self::spawn_logging_to(name, command, logs.path())?;
        process.own_logs = Some(logs);
        Ok(process)
    }

    /// Starts `command`, with its output appended to the files `stdout` and `stderr` in `logs`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn_logging_to(name: &str, mut command: Command, logs: &Path) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(append(&logs.join("stdout"))?).stderr(append(&logs.join("stderr"))?);
        // A group of its own: an interrupt from the terminal is for the test, which then ends its children in order.
        let child = command.process_group(0).spawn().with_context(|| format!("{name} could not be started"))?;
        let process = Self {
            name: name.to_owned(),
            child,
            ended: None,
            stop_signal: "KILL",
            logs: logs.to_owned(),
            own_logs: None,
        };
        reaper::started(process.pid(), process.stop_signal);
        Ok(process)
    }

    /// Ends the process by `signal` (such as `QUIT`) instead of `KILL` when dropped.
    #[must_use]
    pub fn stopping_by(mut self, signal: &'static str) -> Self {
        self.stop_signal = signal;
        reaper::started(self.pid(), signal);
        self
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to its standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read_lossy(&self.logs.join("stdout"))
    }

    /// What it wrote to its standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read_lossy(&self.logs.join("stderr"))
    }

    /// Its end, if it has ended.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn try_exit(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().with_context(|| format!("state of {}", self.name))?;
            if self.ended.is_some() {
                reaper::ended(self.pid());
            }
        }
        Ok(self.ended)
    }

    /// Waits until `probe` says true.
    ///
    /// # Errors
    /// When the process ends, or `limit` passes, before that; the message has the end of both logs.
    pub async fn ready(&mut self, limit: Duration, mut probe: impl AsyncFnMut(&Self) -> bool) -> Result<()> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.try_exit()? {
                bail!("{} ended before it was ready: {status}\n{}", self.name, self.log_tail());
            }
            if probe(self).await {
                return Ok(());
            }
            if start.elapsed() > limit {
                bail!("{} was not ready within {limit:?}\n{}", self.name, self.log_tail());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When `limit` passes before that.
    pub async fn exited(&mut self, limit: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.try_exit()? {
                return Ok(status);
            }
            if start.elapsed() > limit {
                bail!("{} did not end within {limit:?}\n{}", self.name, self.log_tail());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends a signal by its name (`TERM`, `STOP`, `CONT`, …).
    ///
    /// # Errors
    /// When the process has ended.
    pub fn signal(&mut self, name: &str) -> Result<()> {
        if let Some(status) = self.try_exit()? {
            bail!("{} has ended: {status}", self.name);
        }
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid())]).status()?;
        if !sent.success() {
            bail!("signal {name} could not be sent to {}", self.name);
        }
        Ok(())
    }

    /// Sends `TERM` and waits for the end.
    ///
    /// # Errors
    /// When it has ended already, or does not end within `limit`.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal("TERM")?;
        self.exited(limit).await
    }

    /// Kills it (`kill -9`) and waits until it is gone; nothing happens if it has ended.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        if self.try_exit()?.is_none() {
            self.child.kill().with_context(|| format!("{} could not be killed", self.name))?;
            self.ended = Some(self.child.wait()?);
            reaper::ended(self.pid());
        }
        Ok(())
    }

    /// The end of both logs, for messages.
    #[must_use]
    pub fn log_tail(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", tail(&self.stdout()), tail(&self.stderr()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.stop_signal != "KILL" && self.signal(self.stop_signal).is_ok() {
            let start = Instant::now();
            while matches!(self.try_exit(), Ok(None)) && start.elapsed() < DROP_WAIT {
                std::thread::sleep(POLL);
            }
        }
        // Nothing is left to do about a process that cannot be killed, and a drop must not panic.
        let _ = self.kill();
    }
}

fn append(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(path).with_context(|| format!("log {}", path.display()))
}

fn read_lossy(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn tail(log: &str) -> &str {
    let start = log.len().saturating_sub(LOG_TAIL_BYTES);
    let start = (start..=log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(log.len());
    log.get(start..).unwrap_or_default()
}
