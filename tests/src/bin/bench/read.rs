//! Reading log files: time as a ratio to inflating the same file with the same inflater and to a plain script's, and memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flate2::bufread::GzDecoder;

use crate::generate::{self, Mix};

/// Runs of each program, one after the other in turn; the quickest are compared, since other work on the machine only ever adds.
const PAIRS: usize = 7;
/// Memory may be this, and [`BYTES_A_DOWNLOAD`] more for each download.
const FIXED_BYTES: u64 = 16 << 20;
const BYTES_A_DOWNLOAD: u64 = 32;

/// What to measure with.
pub(crate) struct Setup {
    /// The `s3audit` binary.
    pub(crate) s3audit: PathBuf,
    /// The script to compare with.
    pub(crate) baseline: PathBuf,
    /// Where log files are made, and kept for the next time.
    pub(crate) directory: PathBuf,
    /// A script that makes them instead: `SCRIPT --mix MIX --mb N FILE`.
    pub(crate) generator: Option<PathBuf>,
    /// Sizes in megabytes of text.
    pub(crate) sizes: Vec<u64>,
}

/// Measures both mixes in all sizes and prints a table.
pub(crate) fn run(setup: &Setup) -> Result<()> {
    let out = &mut std::io::stdout();
    writeln!(out, "Reading log files: the quickest of {PAIRS} runs in turn")?;
    writeln!(
        out,
        "| file | inflate | s3audit parse | x inflate (<= 1.6) | baseline | x faster (>= 8) | peak memory | allowed |"
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- | --- | --- |")?;
    for &megabytes in &setup.sizes {
        for mix in [Mix::Data, Mix::Management] {
            let file = setup.log_file(mix, megabytes)?;
            let row = measure(setup, &file)?;
            let [inflate, parse, baseline] = row.quickest.map(|time| time.as_secs_f64());
            writeln!(
                out,
                "| {} {megabytes} MB | {inflate:.3} s | {parse:.3} s | {:.2} | {baseline:.2} s | {:.1} | {:.1} MiB | {:.1} MiB |",
                mix.name(),
                parse / inflate,
                baseline / parse,
                mebibytes(row.peak_bytes),
                mebibytes(FIXED_BYTES + BYTES_A_DOWNLOAD * row.downloads),
            )?;
        }
    }
    Ok(())
}

/// Inflates `file` to nowhere, with the inflater and the buffers that reading it uses.
pub(crate) fn inflate(file: &Path) -> Result<()> {
    let mut gzip = GzDecoder::new(BufReader::with_capacity(64 << 10, File::open(file)?));
    let mut buffer = vec![0; 512 << 10];
    while gzip.read(&mut buffer)? > 0 {}
    Ok(())
}

impl Setup {
    fn log_file(&self, mix: Mix, megabytes: u64) -> Result<PathBuf> {
        let Some(script) = &self.generator else { return generate::log_file(&self.directory, mix, megabytes) };
        let file = self.directory.join(format!("{}-{megabytes}-other.json.gz", mix.name()));
        if !file.exists() {
            std::fs::create_dir_all(&self.directory)?;
            let mut command = Command::new("python3");
            command.arg(script).args(["--mix", mix.name(), "--mb", &megabytes.to_string()]).arg(&file);
            ensure!(command.status()?.success(), "{} failed", script.display());
        }
        Ok(file)
    }
}

struct Row {
    /// Of inflating, parsing, and the baseline.
    quickest: [Duration; 3],
    peak_bytes: u64,
    downloads: u64,
}

fn measure(setup: &Setup, file: &Path) -> Result<Row> {
    let mut inflate = Command::new(std::env::current_exe()?);
    inflate.arg("inflate").arg(file);
    let mut parse = Command::new(&setup.s3audit);
    parse.arg("parse").arg(file);
    let mut baseline = Command::new("python3");
    baseline.arg(&setup.baseline).arg(file);

    let lines = lines_of(&mut parse)?;
    ensure!(
        lines == lines_of(&mut baseline)?,
        "s3audit and the baseline print different records of {}",
        file.display()
    );

    let mut times: [Vec<Duration>; 3] = Default::default();
    let mut peak_bytes = 0;
    for _ in 0..PAIRS {
        for (command, times) in [&mut inflate, &mut parse, &mut baseline].into_iter().zip(&mut times) {
            times.push(time_of(command)?);
        }
        peak_bytes = peak_bytes.max(peak_of(&mut parse)?);
    }
    Ok(Row {
        quickest: times.map(|times| times.into_iter().min().unwrap_or_default()),
        peak_bytes,
        downloads: lines.len() as u64,
    })
}

/// The lines that `command` prints, sorted.
fn lines_of(command: &mut Command) -> Result<Vec<String>> {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::null()).output()?;
    ensure!(output.status.success(), "{command:?} failed");
    let mut lines = output.stdout.lines().collect::<Result<Vec<_>, _>>()?;
    lines.sort_unstable();
    Ok(lines)
}

fn time_of(command: &mut Command) -> Result<Duration> {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let time = start.elapsed();
    ensure!(status.success(), "{command:?} failed");
    Ok(time)
}

/// The most memory that `command` had resident, as the kernel keeps it, asked every millisecond while it runs.
fn peak_of(command: &mut Command) -> Result<u64> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_bytes = 0;
    while child.try_wait()?.is_none() {
        if let Some(bytes) = std::fs::read_to_string(&status).ok().as_deref().and_then(high_water) {
            peak_bytes = peak_bytes.max(bytes);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    ensure!(peak_bytes > 0, "no memory figure for {command:?}");
    Ok(peak_bytes)
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The sizes in `text`, such as `50,500`.
pub(crate) fn sizes(text: &str) -> Result<Vec<u64>> {
    text.split(',').map(|size| size.parse().context("--sizes: expected megabytes, separated by commas")).collect()
}
