//! `s3audit parse`: log files in, metering records out, every record accounted for.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use audit_core::config::{Environment, read_metering};
use audit_core::policy::MeteringPolicy;
use audit_core::seen::Seen;
use audit_core::source::cloudtrail::{self, LogFile};
use audit_core::source::found::Item;
use audit_core::source::{ReadLimits, minio};
use audit_core::tally::Tally;

use crate::output::{Format, QuarantineFile, print};
use crate::progress::Progress;
use crate::{USAGE, complain};

/// A file could not be read to its end; the others are done.
const UNREADABLE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  s3audit parse 123456789012_CloudTrail_eu-west-2_20251027T1015Z_a1b2c3d4e5f6a7b8.json.gz
  s3audit parse --format jsonl --quarantine look-at.jsonl logs/*.json.gz >downloads.jsonl
  aws s3 cp s3://BUCKET/KEY - | s3audit parse -
  s3audit parse --source minio audit.log

Records go to standard output, file by file, each download once. Nothing of a file is printed before all of it was read and
found good. The last line on standard error accounts for every record, as one JSON object.

Status: 0 = done (also with quarantined records), 1 = the output could not be written, 2 = a file could not be read to its end
(the others are done), 64 = wrong usage or settings.

Settings (environment, or a .env file): USER_ID_PARAM, COLLECTION_ID_PARAM, ITEM_ID_PARAM, ASSET_ID_PARAM, ANONYMOUS_USER_ID,
MAX_DECOMPRESSED_BYTES.";

/// What the log files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Source {
    /// CloudTrail log files
    Cloudtrail,
    /// `MinIO` audit entries
    Minio,
}

/// What is counted, and how much is read.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) policy: MeteringPolicy,
    pub(crate) limits: ReadLimits,
}

impl Settings {
    /// Reads and checks the variables that say so.
    pub(crate) fn load() -> Result<Self> {
        let (policy, max_text_bytes) = read_metering(&Environment)?;
        Ok(Self { policy, limits: ReadLimits { max_text_bytes, ..ReadLimits::default() } })
    }
}

/// Arguments of `s3audit parse`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What the files are
    #[arg(long, value_enum, default_value = "cloudtrail")]
    source: Source,
    /// How downloads are printed
    #[arg(long, value_enum, default_value = "lines")]
    format: Format,
    /// Append records that need a person's look to this file, credentials removed
    #[arg(long, value_name = "FILE")]
    quarantine: Option<PathBuf>,
    /// Log files, gzip or plain; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Does it; the status is as in the help text.
pub(crate) fn run(args: &Args, settings: &Settings) -> ExitCode {
    let quarantine =
        match QuarantineFile::open(args.quarantine.as_deref()).context("--quarantine: cannot open the file") {
            Ok(quarantine) => quarantine,
            Err(error) => {
                complain(&error);
                return ExitCode::from(USAGE);
            }
        };
    let progress = Progress::over(&args.files);
    let mut run = Run {
        format: args.format,
        out: BufWriter::with_capacity(64 << 10, io::stdout().lock()),
        quarantine,
        seen: Seen::default(),
        tally: Tally::default(),
    };
    let outcome = run.all(args, settings, &progress);
    progress.finish();
    match outcome {
        Ok(()) => run.account(),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Whoever read the output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Reads `file` to its end; `None` when it is empty.
fn read(file: &Path, source: Source, settings: &Settings, progress: &Progress) -> Result<Option<LogFile>> {
    let input: Box<dyn Read + Send> = if is_stdin(file) { Box::new(io::stdin()) } else { Box::new(File::open(file)?) };
    let input = progress.watch(input);
    match source {
        Source::Cloudtrail => Ok(cloudtrail::read(input, &origin(file), &settings.policy, &settings.limits)?),
        Source::Minio => Ok(minio::read_file(input, &origin(file), &settings.policy, &settings.limits)?),
    }
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn origin(file: &Path) -> Arc<str> {
    file.to_string_lossy().into()
}

/// One run over all files.
struct Run<W: Write> {
    format: Format,
    out: W,
    quarantine: QuarantineFile,
    seen: Seen,
    tally: Tally,
}

impl<W: Write> Run<W> {
    fn all(&mut self, args: &Args, settings: &Settings, progress: &Progress) -> Result<()> {
        for file in &args.files {
            match read(file, args.source, settings, progress) {
                Ok(Some(log)) => progress.aside(|| self.take(log, &origin(file)))?,
                Ok(None) => self.tally.objects.skipped += 1,
                Err(error) => {
                    self.tally.objects.failed += 1;
                    progress.aside(|| complain(&error.context(file.display().to_string())));
                }
            }
        }
        self.out.flush()?;
        Ok(self.quarantine.flush()?)
    }

    /// Counts and prints what a good file holds.
    fn take(&mut self, log: LogFile, origin: &str) -> Result<()> {
        self.tally.objects.read += 1;
        self.tally.records += log.records;
        for (reason, records) in log.skipped {
            *self.tally.skipped.entry(reason).or_default() += records;
        }
        for item in log.found {
            match item.context("what was found could not be read back")? {
                Item::Download(download) if self.seen.insert(download.key()) => {
                    self.tally.downloads += 1;
                    print(&download, self.format, &mut self.out)?;
                }
                Item::Download(_) => self.tally.duplicates += 1,
                Item::Quarantined(record) => {
                    *self.tally.quarantined.entry(record.reason).or_default() += 1;
                    self.quarantine.write(record, origin).context("--quarantine: cannot write the file")?;
                }
            }
        }
        Ok(())
    }

    /// Tells what became of every record.
    fn account(&self) -> ExitCode {
        if !self.tally.adds_up() {
            complain(&anyhow::anyhow!("the tally does not add up: some record was lost or counted twice"));
            return ExitCode::FAILURE;
        }
        let told = serde_json::to_string(&self.tally).map_err(io::Error::from);
        let told = told.and_then(|tally| writeln!(io::stderr(), "{tally}"));
        match told {
            Ok(()) if self.tally.objects.failed == 0 => ExitCode::SUCCESS,
            Ok(()) => ExitCode::from(UNREADABLE),
            Err(_) => ExitCode::FAILURE,
        }
    }
}
