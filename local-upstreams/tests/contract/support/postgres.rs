//! A PostgreSQL of its own for a test, in a temporary directory, on a free port.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};

/// A running server; it ends and its files go when this is dropped.
pub(crate) struct Postgres {
    directory: tempfile::TempDir,
    port: u16,
}

impl Postgres {
    /// Starts a server; takes about a second.
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if running_as_root() {
            let id = |flag| output(Command::new("id").args([flag, "postgres"])).trim().parse().unwrap();
            chown(directory.path(), Some(id("-u")), Some(id("-g"))).unwrap();
        }
        let server = Self { directory, port };
        let data = server.data();
        run(as_postgres("initdb").args(["-A", "trust", "-N", "-U", "postgres", "-D"]).arg(&data));
        let sockets = server.directory.path().display().to_string();
        let options =
            format!("-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories={sockets} -c fsync=off");
        let log = server.directory.path().join("log");
        run(as_postgres("pg_ctl").args(["start", "-w", "-o", &options, "-D"]).arg(&data).arg("-l").arg(log));
        server
    }

    /// Its `DATABASE_URL`.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn data(&self) -> std::path::PathBuf {
        self.directory.path().join("data")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = as_postgres("pg_ctl").args(["stop", "-m", "immediate", "-D"]).arg(self.data()).status();
    }
}

/// A program of PostgreSQL, which refuses to be run by root.
fn as_postgres(program: &str) -> Command {
    let debian = "/usr/lib/postgresql/15/bin";
    let installed = Path::new(debian).join(program);
    let program = if installed.exists() { installed.into_os_string() } else { program.into() };
    let mut command = if running_as_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.stdout(Stdio::null()).current_dir("/");
    command
}

fn running_as_root() -> bool {
    output(Command::new("id").arg("-u")).trim() == "0"
}

fn output(command: &mut Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?} ended with {status}");
}
