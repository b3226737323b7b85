//! Real clients download, and the dashboard knows them by what they send.

use std::path::Path;
use std::process::Command;

use e2e::{aws, minio, tools};

use crate::modes::{Modes, content, modes};
use crate::reader::{BUCKET, Reader, now};
use crate::until;

/// The length of what they download.
const BYTES: usize = 100_003;

/// A Python script of `clients/`, with the libraries that `scripts/tools.sh` installs, and told where MinIO is.
pub(crate) fn script(modes: &Modes, name: &str) -> Command {
    let mut command = python(modes);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/clients").join(name));
    command
}

fn python(modes: &Modes) -> Command {
    let mut command = tools::command(&tools::python("clients").unwrap());
    command
        .env("HOME", modes.minio.path("home"))
        .env("PYTHONUTF8", "1")
        // The AWS SDK lists features in its User-Agent in an order that this decides: anew in each process, without it, so that two
        // runs would be two visitors.
        .env("PYTHONHASHSEED", "0")
        .env("AWS_ACCESS_KEY_ID", aws::ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", aws::SECRET_KEY)
        .env("AWS_DEFAULT_REGION", aws::REGION)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("ENDPOINT", modes.held_open.authority());
    command
}

/// Runs `command` to its good end, and answers its standard output.
pub(crate) fn run(mut command: Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

/// Stores an object whose key the dashboard reads, and answers the key.
async fn object(modes: &Modes, region: &str) -> String {
    let key = format!("v2/tabular/parquet/{region}.parquet");
    aws::put_object(&modes.minio.s3(), BUCKET, &key, content(BYTES)).await.unwrap();
    key
}

/// Waits until each dashboard has the download of `key`, once, by this client.
async fn shown(modes: &Modes, key: &str, method: &str, client: &str) {
    // Billed, so all before it has arrived.
    let mut last = Reader::of(&modes.minio);
    aws::put_object(last.s3(), BUCKET, "last.txt", "last").await.unwrap();
    last.read_last("last.txt").await;
    modes.bill(&last).await;
    for site in &modes.sites {
        let events = until(async || {
            let events = site.events(key).await;
            if events.is_empty() { Err(format!("{}: no event about {key}", site.id)) } else { Ok(events) }
        });
        let events = events.await;
        assert_eq!(events.len(), 1, "{}: {events:?}", site.id);
        let props = &events[0]["props"];
        assert_eq!((props["method"].as_str(), props["client"].as_str()), (Some(method), Some(client)), "{props}");
    }
}

#[tokio::test]
async fn aws_cli() {
    needs_minio!();
    let modes = modes().await;
    let key = object(modes, "austria").await;
    let file = modes.minio.path("aws-cli.parquet");
    for _ in 0..2 {
        let mut command = python(modes);
        command.args(["-m", "awscli", "--endpoint-url", &modes.held_open.endpoint(), "s3", "cp", "--no-progress"]);
        run({
            command.arg(format!("s3://{BUCKET}/{key}")).arg(&file);
            command
        });
    }
    assert_eq!(std::fs::read(file).unwrap(), content(BYTES));
    shown(modes, &key, "CLI", "aws-cli").await;
}

#[tokio::test]
async fn boto3() {
    needs_minio!();
    let modes = modes().await;
    let key = object(modes, "belgium").await;
    let mut command = script(modes, "boto3_get.py");
    command.args([BUCKET, &key]);
    assert_eq!(run(command).trim(), (3 * BYTES).to_string());
    shown(modes, &key, "Python", "boto3").await;
}

#[tokio::test]
async fn mc() {
    needs_minio!();
    let modes = modes().await;
    let key = object(modes, "croatia").await;
    let file = modes.minio.path("mc.parquet");
    for _ in 0..2 {
        let mut command =
            modes.minio.mc_command(&["cp", &format!("local/{BUCKET}/{key}"), &file.display().to_string()]).unwrap();
        command.env("MC_HOST_local", minio::mc_host(modes.held_open.authority()));
        run(command);
    }
    assert_eq!(std::fs::read(file).unwrap(), content(BYTES));
    shown(modes, &key, "CLI", "mc").await;
}

/// The one among them that can be given a presigned URL by anybody: it is billed too.
#[tokio::test]
async fn curl() {
    needs_minio!();
    let modes = modes().await;
    let key = object(modes, "denmark").await;
    let mut reader = Reader::at(&modes.held_open.endpoint());
    let url = reader.link(&key, "by curl").await;
    let began = now();
    for (range, bytes) in [("0-", BYTES), ("0-", BYTES), ("5-1004", 1000)] {
        let mut command = tools::command(&tools::required("curl").unwrap());
        command.args(["--silent", "--show-error", "--fail", "--write-out", "%{size_download}"]);
        command.args(["--output", "/dev/null", "--range", range, &url]);
        assert_eq!(run(command), bytes.to_string());
        reader.count("by curl", bytes, began.clone());
    }
    modes.bill(&reader).await;
    shown(modes, &key, "Other", "curl").await;
}

#[tokio::test]
async fn minio_py() {
    needs_minio!();
    let modes = modes().await;
    let key = object(modes, "estonia").await;
    let mut command = script(modes, "minio_py.py");
    command.args(["get", BUCKET, &key]);
    assert_eq!(run(command).trim(), (3 * BYTES).to_string());
    shown(modes, &key, "Bundle download", "minio-py").await;
}

/// Its S3 and its HTTP side; of a presigned URL it reads two bytes first, and the whole after that, each a download of its own.
#[tokio::test]
async fn duckdb() {
    needs_minio!();
    let modes = modes().await;
    let key = object(modes, "finland").await;
    let mut reader = Reader::at(&modes.held_open.endpoint());
    let item = format!("by duckdb for {}", reader.user);
    let url = reader.link(&key, &item).await;
    let began = now();
    let mut command = script(modes, "duckdb_read.py");
    command.args([&format!("s3://{BUCKET}/{key}"), &url]);
    assert_eq!(run(command).trim(), format!("{BYTES} {BYTES}"));
    // What it asked for is not in our hands: MinIO says it.
    let parts = until(async || {
        let calls = modes.ear.calls(&item, 1).await.into_iter();
        let parts: Vec<_> =
            calls.filter(|(name, status, _)| name == "GetObject" && matches!(status, 200 | 206)).collect();
        let sum: i64 = parts.iter().map(|(_, _, bytes)| bytes).sum();
        if sum >= i64::try_from(BYTES).unwrap() { Ok(parts) } else { Err(format!("{sum} bytes: {parts:?}")) }
    });
    for (_, _, bytes) in parts.await {
        reader.count(&item, bytes.try_into().unwrap(), began.clone());
    }
    modes.bill(&reader).await;
    shown(modes, &key, "DuckDB", "DuckDB").await;
}
