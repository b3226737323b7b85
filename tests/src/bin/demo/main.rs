//! `make demo`: the whole pipeline once, with both programs as processes and everything over HTTP: sample CloudTrail logs,
//! presigned downloads from a real MinIO where there is one, and sample audit entries.

#![allow(clippy::indexing_slicing, reason = "JSON answers null for what is not there")]

mod downloads;
mod receiver;
mod show;
mod trail;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use e2e::process::Directory;
use e2e::{Minio, Moto, Upstreams, tools};

use crate::receiver::Receiver;
use crate::show::{say, step};

const PROCESS: &str = "/processes/5a6b1d0e-6c0f-4f8e-9b55-0d7c1a2e3f01/execution";

#[tokio::main]
async fn main() -> Result<()> {
    let place = Directory::new()?;

    step("starting the auth server, the process endpoint and its database (local-upstreams), and the receiver");
    let upstreams = Upstreams::start(&[]).await?;
    let mut receiver = Receiver::start(&upstreams, place.path()).await?;
    let storage = Storage::start(&receiver, place.path()).await?;
    say(&format!("S3 is played by {}", storage.name()));

    step("CloudTrail: two log files in S3, one event for the Lambda function");
    let trail = trail::run(storage.endpoint(), sink(&upstreams, place.path())).await?;
    show::tally("lambda-cloudtrail", &trail)?;

    step("MinIO: presigned downloads, told of by the server's own audit webhook");
    match &storage {
        Storage::Minio(minio) => downloads::run(minio, &receiver, &upstreams).await?,
        Storage::Moto(_) => {
            say("left out: no `minio` here. With Go, `scripts/tools.sh test` builds it (some minutes, once);");
            say("a `minio` on PATH will do as well. `make demo` then downloads from it.");
        }
    }

    step("MinIO: ten sample audit entries posted to the standalone receiver");
    receiver.post(samples("minio.jsonl")?).await?;
    let metrics = receiver.delivered().await?;
    show::tally("lambda-minio-http", &metrics)?;
    receiver.stop().await?;

    step("The database: SELECT COUNT(*) FROM auditing, then by user and collection");
    let rows = upstreams.get("/_dev/rows").await?;
    show::rows(&rows)?;
    show::check_rows(&trail, &metrics, &rows)?;

    step("The dashboard: events that Plausible recorded, by method and region");
    show::events(&upstreams.get("/_dev/events").await?, &trail, &metrics)?;

    step("Where to look next");
    say("README.md            deploying to AWS, running beside MinIO, what happens when things fail");
    say("samples/             what went in; quarantined records are told with their reasons above");
    say("s3audit parse FILE   the same reading on your own log files, without delivering");
    Ok(())
}

/// What plays S3: MinIO where it is installed, else the emulator.
enum Storage {
    Minio(Minio),
    Moto(Moto),
}

impl Storage {
    /// MinIO tells `receiver` of each request.
    async fn start(receiver: &Receiver, place: &Path) -> Result<Self> {
        if tools::tool("minio").is_none() {
            return Ok(Self::Moto(Moto::start().await?));
        }
        let queue = place.join("audit-queue").display().to_string();
        let webhook = receiver.url("/auditlogs/processor");
        let environment = [
            ("MINIO_AUDIT_WEBHOOK_ENABLE_metering", "on"),
            ("MINIO_AUDIT_WEBHOOK_ENDPOINT_metering", webhook.as_str()),
            ("MINIO_AUDIT_WEBHOOK_AUTH_TOKEN_metering", receiver::AUTHORIZATION),
            ("MINIO_AUDIT_WEBHOOK_QUEUE_DIR_metering", queue.as_str()),
            ("MINIO_AUDIT_WEBHOOK_BATCH_SIZE_metering", "100"),
        ];
        let minio = Minio::start(&environment);
        Ok(Self::Minio(minio.await?.context("minio did not start")?))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Minio(_) => "a real MinIO server, whose audit webhook is the receiver",
            Self::Moto(_) => "an emulator",
        }
    }

    fn endpoint(&self) -> &str {
        match self {
            Self::Minio(own) => own.endpoint(),
            Self::Moto(own) => own.endpoint(),
        }
    }
}

/// The variables of both sinks, as `local-upstreams` has its defaults.
fn sink(upstreams: &Upstreams, place: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("AUTH_URL", upstreams.url("/auth/v1/token")),
        ("CLIENT_ID", "local-client".into()),
        ("CLIENT_SECRET", "local-secret".into()),
        ("AUTH_ITEM_ID", "localhost".into()),
        ("AUTH_ITEM_TYPE", "resource_server".into()),
        ("AUTH_ROLE", "admin".into()),
        ("PROCESS_API_URL", upstreams.url(PROCESS)),
        ("QUARANTINE", place.join("quarantine").display().to_string()),
        ("HELD", place.join("held").display().to_string()),
        ("PLAUSIBLE_API_URL", upstreams.url("")),
        ("PLAUSIBLE_DATA_DOMAIN", "data.example.org".into()),
        // The samples are old, and events always happen now.
        ("PLAUSIBLE_MAX_AGE", "36500d".into()),
    ]
}

/// What `samples/NAME` holds.
fn samples(name: &str) -> Result<Vec<u8>> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples").join(name);
    std::fs::read(path).with_context(|| format!("samples/{name}"))
}
