//! Benchmarks, as ratios against a baseline in the same run: `bench read [--sizes 50,500] [--generator SCRIPT]`.
//!
//! Needs release builds of itself and of `s3audit`, which it looks for beside itself.

mod generate;
mod read;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("read") => read::run(&setup(args)?),
        // What `read` compares with, in a process of its own like the others.
        Some("inflate") => read::inflate(Path::new(&args.next().context("inflate: expected a file")?)),
        _ => bail!("expected `read [--sizes MEGABYTES,…] [--generator SCRIPT]`"),
    }
}

fn setup(mut args: impl Iterator<Item = String>) -> Result<read::Setup> {
    let own = std::env::current_exe()?;
    let beside = own.parent().context("no folder")?;
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
