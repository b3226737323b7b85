//! Benchmarks, as ratios against a baseline in the same run: `bench` runs all, `bench read [--sizes 50,500] [--generator SCRIPT]`,
//! `bench agents`, `bench receiver [SECONDS]`, `bench start` and `bench invoke` one each. `bench minio [ENTRIES]` needs a MinIO, and
//! runs only by its name.
//!
//! Needs release builds of itself and of the programs, which it looks for beside itself.

mod agents;
mod generate;
mod invoke;
mod minio;
mod read;
mod receiver;
mod start;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// How long each server is under load.
const RECEIVER_SECONDS: u64 = 10;
/// How many entries MinIO pushes.
const MINIO_ENTRIES: u64 = 4000;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        None => {
            read::run(&setup(args)?)?;
            agents::run()?;
            block_on(receiver::run(RECEIVER_SECONDS))?;
            block_on(start::run(&beside()?))?;
            block_on(invoke::run(&beside()?))
        }
        Some("read") => read::run(&setup(args)?),
        Some("agents") => agents::run(),
        Some("receiver") => {
            let seconds = args.next().map_or(Ok(RECEIVER_SECONDS), |seconds| seconds.parse()).context("SECONDS")?;
            block_on(receiver::run(seconds))
        }
        Some("minio") => {
            let entries = args.next().map_or(Ok(MINIO_ENTRIES), |entries| entries.parse()).context("ENTRIES")?;
            block_on(minio::run(entries))
        }
        Some("start") => block_on(start::run(&beside()?)),
        Some("invoke") => block_on(invoke::run(&beside()?)),
        // What `read` compares with, in a process of its own like the others.
        Some("inflate") => read::inflate(Path::new(&args.next().context("inflate: expected a file")?)),
        _ => bail!(
            "expected nothing, `read [--sizes MEGABYTES,…] [--generator SCRIPT]`, `agents`, `receiver [SECONDS]`, `start`, `invoke` or `minio \
             [ENTRIES]`"
        ),
    }
}

fn block_on(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// The folder of this program, where the others are.
fn beside() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().context("no folder")?.to_owned())
}

fn setup(mut args: impl Iterator<Item = String>) -> Result<read::Setup> {
    let beside = beside()?;
    let mut setup = read::Setup {
        s3audit: beside.join("s3audit"),
        baseline: Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/baseline.py"),
        directory: beside.join("bench-files"),
        generator: None,
        sizes: vec![50, 500],
    };
    while let Some(arg) = args.next() {
        let value = args.next().with_context(|| format!("{arg}: expected a value"))?;
        match arg.as_str() {
            "--sizes" => setup.sizes = read::sizes(&value)?,
            "--generator" => setup.generator = Some(PathBuf::from(value)),
            _ => bail!("unknown option {arg}"),
        }
    }
    Ok(setup)
}
