//! `scripts/record-minio.sh`: records what a real MinIO sends to its webhooks, case by case and way by way, as the
//! fixtures in `audit-core/tests/minio`.

mod cases;
mod neutral;
mod sink;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::process::Directory;
use e2e::recording::{self, Message};
use e2e::{Minio, tools};

use crate::cases::{BUCKET, CASES, Case, Client, OPEN_BUCKET};
use crate::sink::Sink;

/// How the audit webhook is told to send: folder, `batch_size`, and whether it has a `queue_dir`.
const MODES: [(&str, u32, bool); 3] = [("batch-1", 1, false), ("batch-100", 100, false), ("queue-dir", 100, true)];
/// The bucket notification's folder.
const NOTIFICATIONS: &str = "notification";
const LIMIT: Duration = Duration::from_mins(1);
const QUIET: Duration = Duration::from_secs(4);

#[tokio::main]
async fn main() -> Result<()> {
    let sink = Sink::start().await?;
    let place = Directory::new()?;
    let environment = environment(&sink, place.path());
    let environment: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let minio = Minio::start(&environment).await?.context("recording needs a MinIO")?;
    let client = Client::prepare(&minio).await?;
    for bucket in [BUCKET, OPEN_BUCKET] {
        minio.mc(&[
            "event",
            "add",
            &format!("local/{bucket}"),
            "arn:minio:sqs::notification:webhook",
            "--event",
            "get",
        ])?;
    }
    minio.mc(&["anonymous", "set", "download", &format!("local/{OPEN_BUCKET}")])?;
    sink.quiet(QUIET).await;

    let authority = minio.endpoint().trim_start_matches("http://").to_owned();
    let names = [
        (authority, "minio.example:9000"),
        (format!("127.0.0.1:{}", sink.port()), "receiver.example:8092"),
        (place.path().display().to_string(), "/data"),
    ];
    let mut written = BTreeSet::new();
    for case in CASES {
        for (mode, messages) in record(case, &client, &sink).await.with_context(|| case.name.to_owned())? {
            written.extend(write(mode, case.name, messages, &names)?);
        }
    }
    sink.quiet(Duration::from_secs(1)).await;
    forget_others(&written)?;
    print(&format!("{} files, from {}", written.len(), release()?))
}

/// Performs one case and answers what came of it in each mode.
async fn record(case: &Case, client: &Client, sink: &Sink) -> Result<Vec<(&'static str, Vec<Message>)>> {
    let (tries, limit) = if case.lossy { (60, QUIET * 2) } else { (1, LIMIT) };
    let modes = MODES.map(|(mode, ..)| (mode, case.requests)).into_iter().chain([(NOTIFICATIONS, case.notified)]);
    let modes: Vec<_> = modes.collect();
    let mut missing = None;
    for _ in 0..tries {
        client.perform(case.name).await?;
        match sink.all(&modes, limit).await {
            Ok(()) => return sink.take(&modes),
            Err(error) => missing = Some(error),
        }
        sink.quiet(QUIET).await;
    }
    Err(missing.context("expected at least one try")?)
}

fn environment(sink: &Sink, place: &Path) -> Vec<(String, String)> {
    let mut own = Vec::new();
    for (mode, batch, queued) in MODES {
        let mut set = |name: &str, value: String| {
            own.push((format!("MINIO_AUDIT_WEBHOOK_{name}_{mode}"), value));
        };
        set("ENABLE", "on".to_owned());
        set("ENDPOINT", sink.url(mode));
        set("AUTH_TOKEN", "Bearer token-of-the-webhook".to_owned());
        set("BATCH_SIZE", batch.to_string());
        if queued {
            set("QUEUE_DIR", place.join(mode).display().to_string());
        }
    }
    let mut set = |name: &str, value: String| own.push((format!("MINIO_NOTIFY_WEBHOOK_{name}_{NOTIFICATIONS}"), value));
    set("ENABLE", "on".to_owned());
    set("ENDPOINT", sink.url(NOTIFICATIONS));
    set("AUTH_TOKEN", "token-of-the-webhook".to_owned());
    own
}

/// Writes the recording of one case; answers its path, if there is anything in it.
fn write(mode: &str, case: &str, mut messages: Vec<Message>, names: neutral::Names<'_>) -> Result<Option<String>> {
    if messages.is_empty() {
        return Ok(None);
    }
    for message in &mut messages {
        neutral::clean(message, names).with_context(|| format!("{mode}/{case}"))?;
    }
    let path = format!("{mode}/{case}.http");
    let file = recording::folder().join(&path);
    std::fs::create_dir_all(file.parent().context("a recording is in a folder")?)?;
    std::fs::write(&file, Message::write(&messages)).with_context(|| file.display().to_string())?;
    Ok(Some(path))
}

/// Removes recordings of cases that are no more.
fn forget_others(written: &BTreeSet<String>) -> Result<()> {
    for mode in MODES.map(|(mode, ..)| mode).into_iter().chain([NOTIFICATIONS]) {
        for file in std::fs::read_dir(recording::folder().join(mode))? {
            let file = file?;
            if !written.contains(&format!("{mode}/{}", file.file_name().to_string_lossy())) {
                std::fs::remove_file(file.path())?;
            }
        }
    }
    Ok(())
}

/// What the server says it is.
fn release() -> Result<String> {
    let mut command: Command = tools::command(&tools::required("minio")?);
    let output = command.arg("--version").output()?;
    if !output.status.success() {
        bail!("minio --version: {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

fn print(line: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{line}").context("standard output")
}
