//! The first invocation of a cold start beside warm ones, and memory before and after a large log file.
//!
//! Everything around the function answers at once, in this process or beside it, so that what is measured is the function's own:
//! its clients, their certificates, its first connections, secrets and tokens.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use e2e::fixture::{log_of, post_of, s3_event};
use e2e::metering::{CLIENT_SECRET, SYNC_PROCESS};
use e2e::receiver::TOKEN;
use e2e::{FakeAws, Get, Process, RuntimeApi, Upstreams, UrlRequest, tools};
use serde_json::Value;

use crate::generate::{self, Mix};
use crate::start;

/// Cold starts of each function.
const STARTS: usize = 30;
/// Warm invocations after each.
const WARM: usize = 5;
const LIMIT: Duration = Duration::from_secs(30);
/// A log file of this many megabytes of text.
const LARGE_MEGABYTES: u64 = 500;
const LARGE_LIMIT: Duration = Duration::from_mins(14);

/// Measures and prints both tables.
pub(crate) async fn run(beside: &Path) -> Result<()> {
    let aws = FakeAws::start().await?;
    let upstreams = Upstreams::start(&[]).await?;
    let out = &mut std::io::stdout();
    writeln!(
        out,
        "\nFirst invocation beside warm ones: medians of {STARTS} cold starts, {WARM} warm invocations after each"
    )?;
    writeln!(out, "| function | does | first | warm | first over warm (<= 10 ms) |\n| --- | --- | --- | --- | --- |")?;
    for (program, does) in [
        ("lambda-cloudtrail", "secret, ledger, log file from S3, token, POST"),
        ("lambda-minio-http", "secrets, ledger, POST into SQS"),
    ] {
        let (mut first, mut warm) = (Vec::new(), Vec::new());
        for number in 0..STARTS {
            let sandbox = Sandbox::start(&beside.join(program), &aws, &upstreams).await?;
            first.push(sandbox.invoke(&payload(program, &aws, number, 0)).await?);
            for nth in 1..=WARM {
                warm.push(sandbox.invoke(&payload(program, &aws, number, nth)).await?);
            }
        }
        let [first, warm] = [first, warm].map(|times| start::median(times).as_secs_f64() * 1000.0);
        writeln!(out, "| {program} | {does} | {first:.1} ms | {warm:.1} ms | {:+.1} ms |", first - warm)?;
    }
    memory(beside, &aws, &upstreams).await
}

async fn memory(beside: &Path, aws: &FakeAws, upstreams: &Upstreams) -> Result<()> {
    let out = &mut std::io::stdout();
    writeln!(out, "\nResident memory of lambda-cloudtrail around a log file of {LARGE_MEGABYTES} MB")?;
    writeln!(
        out,
        "| log file | before (<= 12 MB) | after (<= 32 MB) | at most | invocation |\n| --- | --- | --- | --- | --- |"
    )?;
    for mix in [Mix::Management, Mix::Data] {
        let file = generate::log_file(&beside.join("bench-files"), mix, LARGE_MEGABYTES)?;
        aws.put("logs", "large", std::fs::read(file)?);
        let sandbox = Sandbox::start(&beside.join("lambda-cloudtrail"), aws, upstreams).await?;
        let before = sandbox.kibibytes("VmRSS:")?;
        let event = s3_event("logs", &["large"]).to_string();
        let started = Instant::now();
        let answer = sandbox.api.invoke(event, LARGE_LIMIT).await.map_err(|error| anyhow!("{error}"))?;
        let took = started.elapsed();
        let answer: Value = serde_json::from_slice(&answer)?;
        let delivered = answer.pointer("/tally/delivered").and_then(Value::as_u64).context("a tally")?;
        writeln!(
            out,
            "| {}, {delivered} downloads delivered | {} | {} | {} | {:.1} s |",
            mix.name(),
            megabytes(before),
            megabytes(sandbox.kibibytes("VmRSS:")?),
            megabytes(sandbox.kibibytes("VmHWM:")?),
            took.as_secs_f64()
        )?;
    }
    Ok(())
}

/// A process that has asked for its first invocation.
struct Sandbox {
    api: RuntimeApi,
    process: Process,
}

impl Sandbox {
    async fn start(program: &Path, aws: &FakeAws, upstreams: &Upstreams) -> Result<Self> {
        let secret = |name: &str, value: &str| {
            let arn = format!("arn:aws:secretsmanager:eu-central-1:111122223333:secret:{name}");
            aws.secret(&arn, value);
            arn
        };
        let api = RuntimeApi::start("bench").await?;
        let mut command = tools::command(program);
        command
            .envs(start::variables(&api))
            .env("AWS_ENDPOINT_URL", aws.endpoint())
            .env("QUEUE_URL", format!("{}/111122223333/bench", aws.endpoint()))
            .env("CLIENT_SECRET_ARN", secret("client", CLIENT_SECRET))
            .env("WEBHOOK_AUTH_TOKEN_ARN", secret("token", TOKEN))
            .env_remove("WEBHOOK_AUTH_TOKEN")
            .env("AUTH_URL", upstreams.url("/auth/v1/token"))
            .env("CLIENT_ID", "local-client")
            .env("AUTH_ITEM_ID", "localhost")
            .env("AUTH_ITEM_TYPE", "resource_server")
            .env("AUTH_ROLE", "admin")
            .env("PROCESS_API_URL", upstreams.url(SYNC_PROCESS));
        let process = Process::spawn("bench", command)?;
        let polled = api.first_poll(LIMIT).await;
        polled.map_err(|error| anyhow!("{}: {error}\n{}", program.display(), process.log_tail()))?;
        Ok(Self { api, process })
    }

    async fn invoke(&self, payload: &Value) -> Result<Duration> {
        let payload = payload.to_string();
        let started = Instant::now();
        let answer = self.api.invoke(payload, LIMIT).await;
        let took = started.elapsed();
        let answer: Value = serde_json::from_slice(&answer.map_err(|error| anyhow!("{error}"))?)?;
        let done = answer.get("status").and_then(Value::as_str) == Some("completed")
            || answer.get("statusCode").and_then(Value::as_u64) == Some(200);
        if done { Ok(took) } else { Err(anyhow!("{answer}\n{}", self.process.log_tail())) }
    }

    /// A figure of the process's status, in KiB.
    fn kibibytes(&self, name: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| name.to_owned())?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }
}

/// Ten new downloads, in a log file or a POST.
fn payload(program: &str, aws: &FakeAws, start: usize, nth: usize) -> Value {
    let from = ((start * (WARM + 1) + nth) * 10) as u64;
    let gets = Get::many(from..from + 10);
    if program == "lambda-minio-http" {
        return UrlRequest::post("/auditlogs/processor", post_of(&gets)).header("authorization", TOKEN).event();
    }
    let key = format!("log-{start}-{nth}");
    // None in practice: it is compressed in memory.
    aws.put("logs", &key, log_of(&gets).unwrap_or_default());
    s3_event("logs", &[&key])
}

#[allow(clippy::cast_precision_loss, reason = "for reading")]
fn megabytes(kibibytes: u64) -> String {
    format!("{:.1} MB", kibibytes as f64 * 1.024 / 1000.0)
}
