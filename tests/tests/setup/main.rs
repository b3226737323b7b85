//! Setting a real MinIO up: by `s3audit minio`, by the sidecar's script; and what can be told of `deploy/` without a container engine.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, which fail by a panic")]

mod between;
mod command;
mod compose;
mod errors;
mod older;
mod script;
mod service;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::process::Directory;
use e2e::receiver::TOKEN;
use e2e::{Minio, Process, Receiver, aws, binary, tools};

/// A MinIO that knows nothing yet, and a receiver beside it.
struct Rig {
    minio: Minio,
    receiver: Receiver,
    directory: Directory,
}

/// What a program came to.
struct Told {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Told {
    /// Everything, with no secret in it.
    fn all(&self) -> String {
        let all = format!("{}{}", self.stdout, self.stderr);
        for secret in [TOKEN, aws::SECRET_KEY] {
            assert!(!all.contains(secret), "a secret is told: {all}");
        }
        all
    }
}

impl Rig {
    /// `None` where there is no MinIO; that is told.
    async fn start(environment: &[(&str, &str)]) -> Option<Self> {
        let minio = Minio::start(environment).await.unwrap()?;
        let directory = Directory::new().unwrap();
        let receiver = Receiver::start(directory.path(), Vec::new()).await.unwrap();
        Some(Self { minio, receiver, directory })
    }

    fn queue_dir(&self) -> String {
        self.directory.path().join("queue of MinIO").to_str().unwrap().to_owned()
    }

    /// The settings of both ways to set up; `change` wins.
    fn environment(&self, change: &[(&str, &str)]) -> Vec<(String, String)> {
        let receiver = self.receiver.url("");
        let usual = [
            ("MINIO_ENDPOINT", self.minio.endpoint()),
            ("MINIO_ROOT_USER", aws::ACCESS_KEY),
            ("MINIO_ROOT_PASSWORD", aws::SECRET_KEY),
            ("RECEIVER_URL", receiver.as_str()),
            ("WEBHOOK_AUTH_TOKEN", TOKEN),
        ];
        usual.iter().chain(change).map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Runs `s3audit minio ACTION`.
    async fn s3audit(&self, arguments: &[&str], change: &[(&str, &str)]) -> Told {
        let mut arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        arguments.insert(0, "minio".into());
        run(&binary("s3audit").unwrap(), &arguments, self.directory.path(), self.environment(change)).await
    }

    /// Runs the script, with `mc` and `curl` on its path.
    async fn script(&self, arguments: &[&str], change: &[(&str, &str)]) -> Told {
        let mut environment = self.environment(change);
        environment.push(("PATH".to_owned(), path_with(&["mc", "curl"])));
        environment.push(("TMPDIR".to_owned(), self.directory.path().to_str().unwrap().to_owned()));
        let mut all: Vec<OsString> = vec![deploy("minio-setup.sh").into()];
        all.extend(arguments.iter().map(OsString::from));
        run(&tools::required("sh").unwrap(), &all, self.directory.path(), environment).await
    }

    fn bucket(&self, name: &str) {
        self.minio.mc(&["mb", &format!("local/{name}")]).unwrap();
    }

    /// The line of a target's configuration.
    fn stored(&self, target: &str) -> String {
        self.minio.mc(&["admin", "config", "get", "local", target]).unwrap()
    }

    /// What nobody set up would be left behind.
    fn buckets(&self) -> String {
        self.minio.mc(&["ls", "local"]).unwrap()
    }
}

async fn run(program: &Path, arguments: &[OsString], folder: &Path, environment: Vec<(String, String)>) -> Told {
    let mut command = tools::command(program);
    command.args(arguments).current_dir(folder).env("HOME", folder).envs(environment);
    let mut process = Process::spawn("set-up", command).unwrap();
    let status = process.exited(Duration::from_mins(4)).await.unwrap();
    Told { status: status.code().unwrap(), stdout: process.stdout(), stderr: process.stderr() }
}

/// A search path that finds `programs` first.
fn path_with(programs: &[&str]) -> String {
    let own = programs.iter().map(|program| tools::required(program).unwrap().parent().unwrap().to_owned());
    let usual = ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from);
    std::env::join_paths(own.chain(usual)).unwrap().into_string().unwrap()
}

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy").join(file)
}
