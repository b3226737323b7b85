//! Process start to first poll of the runtime API, beside a function that does nothing; and how large the programs are.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::{Process, RuntimeApi, tools};
use flate2::{Compression, write::DeflateEncoder};

const STARTS: usize = 200;
const LIMIT: Duration = Duration::from_secs(10);

/// Measures starts in turn, and prints medians and sizes.
pub(crate) async fn run(beside: &Path) -> Result<()> {
    let programs = ["bare-function", "lambda-cloudtrail", "lambda-minio-http"];
    let mut times = [(); 3].map(|()| Vec::new());
    for _ in 0..STARTS {
        for (program, times) in programs.into_iter().zip(&mut times) {
            times.push(start(&beside.join(program)).await.with_context(|| program.to_owned())?);
        }
    }
    let out = &mut std::io::stdout();
    writeln!(out, "\nStart of the process to first poll: median of {STARTS} starts in turn")?;
    writeln!(out, "| program | start | over the bare runtime | binary | deflated, as in bootstrap.zip |")?;
    writeln!(out, "| --- | --- | --- | --- | --- |")?;
    let medians = times.map(|mut times| {
        times.sort_unstable();
        times.get(STARTS / 2).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    });
    let [bare, ..] = medians;
    for (program, median) in programs.into_iter().zip(medians) {
        let binary = std::fs::read(beside.join(program))?;
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::best());
        deflated.write_all(&binary)?;
        let deflated = deflated.finish()?.len();
        writeln!(
            out,
            "| {program} | {median:.2} ms | {:+.2} ms | {:.1} MiB | {:.1} MiB |",
            median - bare,
            mebibytes(binary.len()),
            mebibytes(deflated)
        )?;
    }
    Ok(())
}

async fn start(program: &Path) -> Result<Duration> {
    let api = RuntimeApi::start("bench").await?;
    let mut command = tools::command(program);
    command
        .env("AWS_LAMBDA_RUNTIME_API", api.address())
        .env("AWS_LAMBDA_FUNCTION_NAME", "bench")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "bench")
        .env("AWS_SECRET_ACCESS_KEY", "bench")
        .env("QUARANTINE", "s3://bench/quarantine")
        .env("HELD", "s3://bench/held")
        .env("WEBHOOK_AUTH_TOKEN", "bench")
        .env("LEDGER_URL", "dynamodb://bench");
    let started = Instant::now();
    let mut process = Process::spawn("bench", command)?;
    api.first_poll(LIMIT).await.map_err(|error| anyhow::anyhow!("{}: {}", error.error_type, error.message))?;
    let took = started.elapsed();
    process.kill()?;
    Ok(took)
}

#[allow(clippy::cast_precision_loss, reason = "for reading")]
fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
