//! `make demo`: the whole pipeline once, on the sample logs, with both programs as processes and everything over HTTP.

#![allow(clippy::indexing_slicing, reason = "JSON answers null for what is not there")]

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::process::Directory;
use e2e::{Function, FunctionSpec, Minio, Moto, Process, Upstreams, aws, binary, free_port, http_client, tools};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

const LOG_BUCKET: &str = "demo-trail";
const TOKEN: &str = "demo-webhook-token";
const PROCESS: &str = "/processes/5a6b1d0e-6c0f-4f8e-9b55-0d7c1a2e3f01/execution";

#[tokio::main]
async fn main() -> Result<()> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
    let place = Directory::new()?;

    step("starting the auth server, the process endpoint and its database (local-upstreams)");
    let upstreams = Upstreams::start(&[]).await?;
    let storage = Storage::start().await?;
    say(&format!("S3 is played by {}", storage.name()));

    step("CloudTrail: two log files in S3, one event for the Lambda function");
    let s3 = aws::s3(storage.endpoint());
    aws::create_bucket(&s3, LOG_BUCKET).await?;
    let mut keys = Vec::new();
    for sample in ["cloudtrail-1", "cloudtrail-2"] {
        let json =
            std::fs::read(samples.join(format!("{sample}.json"))).with_context(|| format!("samples/{sample}.json"))?;
        let key = format!("AWSLogs/111122223333/CloudTrail/eu-west-2/2026/03/10/{sample}.json.gz");
        aws::put_object(&s3, LOG_BUCKET, &key, gzip(&json)?).await?;
        say(&format!("s3://{LOG_BUCKET}/{key}"));
        keys.push(key);
    }
    let mut spec = FunctionSpec::new("lambda-cloudtrail")?
        .env("AWS_ENDPOINT_URL", storage.endpoint())
        .env("LEDGER_URL", "memory:");
    for (name, value) in sink(&upstreams, place.path()) {
        spec = spec.env(name, value);
    }
    let function = Function::new(spec)?;
    let answer = function.invoke(&s3_event(&keys)).await;
    let answer =
        answer.map_err(|error| anyhow::anyhow!("{}: {}\n{}", error.error_type, error.message, function.log()))?;
    tally("lambda-cloudtrail", answer.get("tally").context("an answer with a tally")?)?;

    step("MinIO: ten audit entries posted to the standalone receiver");
    let mut receiver = Receiver::start(&upstreams, place.path()).await?;
    let entries = std::fs::read(samples.join("minio.jsonl")).context("samples/minio.jsonl")?;
    receiver.post(entries).await?;
    let metrics = receiver.delivered().await?;
    tally("lambda-minio-http", &metrics)?;
    receiver.process.terminate(Duration::from_secs(20)).await?;

    step("The database: SELECT COUNT(*) FROM auditing, then by user and collection");
    let rows = upstreams.get("/_dev/rows").await?;
    print_rows(&rows)?;
    check(&answer, &metrics, &rows)?;

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
    async fn start() -> Result<Self> {
        Ok(match tools::tool("minio") {
            Some(_) => Minio::start(&[]).await?.map(Self::Minio).context("minio did not start")?,
            None => Self::Moto(Moto::start().await?),
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Minio(_) => "a real MinIO server",
            Self::Moto(_) => "an emulator (install Go for a real MinIO)",
        }
    }

    fn endpoint(&self) -> &str {
        match self {
            Self::Minio(own) => own.endpoint(),
            Self::Moto(own) => own.endpoint(),
        }
    }
}

/// The variables of the metering sink, as `local-upstreams` has its defaults.
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
    ]
}

struct Receiver {
    process: Process,
    client: reqwest::Client,
    address: String,
}

impl Receiver {
    async fn start(upstreams: &Upstreams, place: &Path) -> Result<Self> {
        let port = free_port()?;
        let mut command = tools::command(&binary("lambda-minio-http")?);
        command
            .current_dir(place)
            .envs(sink(upstreams, place))
            .env("WEBHOOK_AUTH_TOKEN", TOKEN)
            .env("BIND_ADDRESS", "127.0.0.1")
            .env("PORT", port.to_string());
        let mut process = Process::spawn("lambda-minio-http", command)?;
        let (client, address) = (http_client::client(Duration::from_secs(10))?, format!("http://127.0.0.1:{port}"));
        process
            .ready(Duration::from_secs(30), async |_| http_client::answers(&client, &format!("{address}/ready")).await)
            .await?;
        let status = client.get(&address).send().await?.text().await?;
        say(&format!("curl {address} → {status}"));
        Ok(Self { process, client, address })
    }

    async fn post(&self, entries: Vec<u8>) -> Result<()> {
        let url = format!("{}/auditlogs/processor", self.address);
        let answer = self.client.post(&url).header("authorization", TOKEN).body(entries).send().await?;
        say(&format!("POST {url} → {}", answer.status()));
        ensure!(answer.status().is_success(), "the receiver refused the entries");
        Ok(())
    }

    /// The accounts once nothing is pending.
    async fn delivered(&self) -> Result<Value> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let text = self.client.get(format!("{}/metrics", self.address)).send().await?.text().await?;
            let metrics = accounts(&text)?;
            if metrics["pending"] == 0 {
                return Ok(metrics);
            }
            if Instant::now() > until {
                bail!("the receiver did not deliver in time:\n{}", self.process.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// `/metrics` in the tally's shape.
fn accounts(text: &str) -> Result<Value> {
    let mut tally = json!({ "skipped": {}, "quarantined": {} });
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').context("a metric's value")?;
        let name = name.strip_prefix("s3audit_").unwrap_or(name);
        let Ok(value) = value.parse::<u64>() else { continue };
        match name.split_once("_total{reason=\"").map(|(family, reason)| (family, reason.trim_end_matches("\"}"))) {
            Some((family, reason)) => tally[family][reason] = value.into(),
            None => tally[name.trim_end_matches("_total")] = value.into(),
        }
    }
    Ok(tally)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn s3_event(keys: &[String]) -> Value {
    let record = |key: &String| {
        json!({ "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": { "bucket": { "name": LOG_BUCKET }, "object": { "key": key.replace('=', "%3D"), "size": 1024 } } })
    };
    json!({ "Records": keys.iter().map(record).collect::<Vec<_>>() })
}

fn number(of: &Value, name: &str) -> Result<u64> {
    of[name].as_u64().with_context(|| format!("{name} as a number in {of}"))
}

fn tally(program: &str, tally: &Value) -> Result<()> {
    let reasons = |of: &Value| {
        let texts = of.as_object().into_iter().flatten().map(|(reason, count)| format!("{reason} {count}"));
        texts.collect::<Vec<_>>().join(", ")
    };
    let sum = |of: &Value| of.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum::<u64>();
    let (skipped, quarantined) = (sum(&tally["skipped"]), sum(&tally["quarantined"]));
    let [records, downloads, duplicates] = ["records", "downloads", "duplicates"].map(|name| number(tally, name));
    let [delivered, pending, held] = ["delivered", "pending", "held"].map(|name| number(tally, name));
    let (records, downloads, duplicates) = (records?, downloads?, duplicates?);
    let (delivered, pending, held) = (delivered?, pending?, held?);
    say(&format!(
        "{program}: {records} records = {downloads} downloads + {skipped} skipped + {duplicates} duplicates + {quarantined} quarantined"
    ));
    say(&format!("  downloads: {downloads} = {delivered} delivered + {pending} pending + {held} held"));
    say(&format!("  skipped: {}", reasons(&tally["skipped"])));
    say(&format!("  quarantined: {}", reasons(&tally["quarantined"])));
    ensure!(records == downloads + skipped + duplicates + quarantined, "{program}: a record is not accounted for");
    ensure!(downloads == delivered + pending + held, "{program}: a download is not accounted for");
    Ok(())
}

fn print_rows(rows: &Value) -> Result<()> {
    say(&format!("COUNT(*) = {}", number(rows, "count")?));
    say(&format!("{:<36}  {:<36}  {:>5}  {:>12}", "user_id", "collection_id", "rows", "bytes"));
    for group in rows["groups"].as_array().into_iter().flatten() {
        let text = |name: &str| group[name].as_str().unwrap_or("?").to_owned();
        say(&format!("{}  {}  {:>5}  {:>12}", text("user_id"), text("collection_id"), group["count"], group["bytes"]));
    }
    Ok(())
}

/// What the programs say they delivered is what the database has.
fn check(answer: &Value, metrics: &Value, rows: &Value) -> Result<()> {
    let delivered = number(&answer["tally"], "delivered")? + number(metrics, "delivered")?;
    let count = number(rows, "count")?;
    ensure!(delivered == count, "{delivered} records were delivered, but the database has {count} rows");
    say(&format!("{delivered} delivered = {count} rows"));
    Ok(())
}

fn step(what: &str) {
    print(&format!("\n● {what}"));
}

fn say(line: &str) {
    print(&format!("  {line}"));
}

fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody reads on: then there is nobody to tell, either.
    let _closed = writeln!(out, "{line}").and_then(|()| out.flush());
}
