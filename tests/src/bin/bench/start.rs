//! Process start to first poll of the runtime API, beside a function that does nothing; and how large the packages are.

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
    writeln!(out, "| program | start | over the bare runtime (<= 3 ms) |\n| --- | --- | --- |")?;
    let medians = times.map(|times| median(times).as_secs_f64() * 1000.0);
    let [bare, ..] = medians;
    for (program, median) in programs.into_iter().zip(medians) {
        writeln!(out, "| {program} | {median:.2} ms | {:+.2} ms |", median - bare)?;
    }
    writeln!(out, "\nSize of what is uploaded (<= 5 MB each)")?;
    writeln!(
        out,
        "| function | binary, as measured here | deflated | bootstrap.zip of make package |\n| --- | --- | --- | --- |"
    )?;
    for program in programs {
        let binary = std::fs::read(beside.join(program))?;
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::best());
        deflated.write_all(&binary)?;
        let deflated = deflated.finish()?.len();
        let package = beside.with_file_name("lambda").join(program).join("bootstrap.zip");
        let package = std::fs::metadata(package).map_or_else(|_| "none here".to_owned(), |zip| megabytes(zip.len()));
        writeln!(
            out,
            "| {program} | {} | {} | {package} |",
            megabytes(binary.len() as u64),
            megabytes(deflated as u64)
        )?;
    }
    Ok(())
}

async fn start(program: &Path) -> Result<Duration> {
    let api = RuntimeApi::start("bench").await?;
    let mut command = tools::command(program);
    command.envs(variables(&api));
    let started = Instant::now();
    let mut process = Process::spawn("bench", command)?;
    api.first_poll(LIMIT).await.map_err(|error| anyhow::anyhow!("{}: {}", error.error_type, error.message))?;
    let took = started.elapsed();
    process.kill()?;
    Ok(took)
}

/// What Lambda sets, and what the functions must have to start.
pub(crate) fn variables(api: &RuntimeApi) -> Vec<(&'static str, String)> {
    let fixed = [
        ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "bench"),
        ("AWS_SECRET_ACCESS_KEY", "bench"),
        ("QUARANTINE", "s3://bench/quarantine"),
        ("HELD", "s3://bench/held"),
        ("WEBHOOK_AUTH_TOKEN", "bench"),
        ("LEDGER_URL", "dynamodb://bench"),
    ];
    let mut variables: Vec<_> = fixed.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    variables.push(("AWS_LAMBDA_RUNTIME_API", api.address()));
    variables
}

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[allow(clippy::cast_precision_loss, reason = "for reading")]
fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}
