//! The receiver's throughput, beside a minimal handler's and its own without durability, in one run.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use e2e::process::Directory;
use e2e::receiver::{Receiver, TOKEN};
use e2e::{Get, free_port};

const CONNECTIONS: u32 = 64;
const FLUSHES: usize = 200;

/// Where nobody listens: the spool fills, and delivering costs nothing.
pub(crate) fn dead_upstream() -> Result<Vec<(String, String)>> {
    let port = free_port()?;
    let variables = [
        ("PROCESS_API_URL", format!("http://127.0.0.1:{port}/processes/p/execution")),
        ("AUTH_URL", format!("http://127.0.0.1:{port}/token")),
        ("CLIENT_ID", "bench".into()),
        ("CLIENT_SECRET", "bench".into()),
        ("AUTH_ITEM_ID", "bench".into()),
        ("AUTH_ITEM_TYPE", "resource_server".into()),
        ("AUTH_ROLE", "admin".into()),
    ];
    Ok(variables.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

/// Measures and prints a table; `seconds` for each row.
pub(crate) async fn run(seconds: u64) -> Result<()> {
    let place = Directory::new()?;
    let script = place.path().join("post.lua");
    std::fs::write(&script, lua())?;

    let minimal = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = minimal.local_addr()?;
    let routes = Router::new().route("/auditlogs/processor", post(async |body: Bytes| body.len().to_string()));
    let server = tokio::spawn(async move { axum::serve(minimal, routes).await });
    let minimal = load(&script, &format!("http://{address}"), seconds)?;
    server.abort();

    let (without, with) = (place.path().join("without"), place.path().join("with"));
    std::fs::create_dir(&without)?;
    std::fs::create_dir(&with)?;
    let mut receiver = Receiver::start(&without, Vec::new()).await?;
    let plain = load(&script, receiver.url("").trim_end_matches('/'), seconds)?;
    receiver.process().kill()?;
    let flush = median_flush(&with)?;
    let mut receiver = Receiver::start(&with, dead_upstream()?).await?;
    let before = resident_bytes(receiver.process().pid())?;
    let durable = load(&script, receiver.url("").trim_end_matches('/'), seconds)?;
    let after = resident_bytes(receiver.process().pid())?;
    receiver.process().kill()?;

    let out = &mut std::io::stdout();
    writeln!(out, "\nReceiver: {CONNECTIONS} connections, one entry of {} bytes a POST", entry().len())?;
    writeln!(out, "| server | requests/s | p99 |\n| --- | --- | --- |")?;
    for (name, load) in
        [("minimal axum handler", &minimal), ("receiver, nothing durable", &plain), ("receiver, spool", &durable)]
    {
        writeln!(out, "| {name} | {:.0} | {} |", load.requests_per_second, load.p99)?;
    }
    let flushes = f64::from(CONNECTIONS) / flush.as_secs_f64();
    let bound = plain.requests_per_second.min(flushes);
    writeln!(out, "median fsync {:.2} ms, so 64 / fsync = {flushes:.0}/s", flush.as_secs_f64() * 1000.0)?;
    writeln!(out, "spool / min(nothing durable, 64 / fsync) = {:.2} (>= 0.5)", durable.requests_per_second / bound)?;
    writeln!(out, "resident before {:.1} MiB, after {:.1} MiB", mebibytes(before), mebibytes(after))?;
    Ok(())
}

struct Load {
    requests_per_second: f64,
    p99: String,
}

fn load(script: &Path, address: &str, seconds: u64) -> Result<Load> {
    let url = format!("{address}/auditlogs/processor");
    let wrk = Command::new("wrk")
        .args(["-t2", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "--latency", "-s"])
        .arg(script)
        .arg(&url)
        .output()
        .context("wrk (scripts/tools.sh bench installs it)")?;
    let text = String::from_utf8_lossy(&wrk.stdout);
    ensure!(wrk.status.success() && !text.contains("Non-2xx"), "wrk: {text}{}", String::from_utf8_lossy(&wrk.stderr));
    let field = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let requests_per_second = field("Requests/sec:").and_then(|rate| rate.parse().ok()).context("wrk's rate")?;
    Ok(Load { requests_per_second, p99: field("99%").context("wrk's p99")?.to_owned() })
}

fn entry() -> String {
    let mut entry = Get::new(1).minio();
    // Filled up to the size of entries that browsers cause.
    let missing = 1900_usize.saturating_sub(entry.to_string().len());
    if let Some(header) = entry.get_mut("requestHeader").and_then(serde_json::Value::as_object_mut) {
        header.insert("Referer".into(), "x".repeat(missing.saturating_sub(13)).into());
    }
    entry.to_string()
}

/// A script for wrk: each request is a download of its own.
fn lua() -> String {
    let entry = entry();
    let id = Get::new(1).minio().get("requestID").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    format!(
        "local thread = 0\nfunction setup(t) t:set('id', thread) thread = thread + 1 end\n\
         local body = [==[{entry}]==]\nlocal count = 0\n\
         function request()\n  count = count + 1\n\
         \x20 local own = body:gsub('{id}', string.format('B%X%012X', id, count))\n\
         \x20 return wrk.format('POST', nil, {{ ['Authorization'] = '{TOKEN}', ['Content-Type'] = 'application/json' }}, own)\nend\n"
    )
}

/// How long the disk takes to make one small write durable.
fn median_flush(place: &Path) -> Result<Duration> {
    let mut file: File = OpenOptions::new().create(true).append(true).open(place.join("flush"))?;
    let mut times = Vec::new();
    for _ in 0..FLUSHES {
        let started = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    times.get(FLUSHES / 2).copied().context("a median")
}

fn resident_bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024)
}

#[allow(clippy::cast_precision_loss, reason = "for reading")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
