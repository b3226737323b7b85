//! `s3audit doctor`: whether what the programs need is there, with the remedy where it is not.

mod looks;
mod report;
mod settings;

use std::process::ExitCode;

use anyhow::Result;
use audit_core::clock::Clock;

use self::looks::Looks;
use self::report::Report;

const EXAMPLES: &str = "\
Examples:
  s3audit doctor
  s3audit doctor --program minio-http
  s3audit doctor --program cloudtrail --queue https://sqs.eu-west-2.amazonaws.com/111122223333/logs
  PLAUSIBLE_API_URL=http://plausible:8000 PLAUSIBLE_DATA_DOMAIN=data.example.org s3audit doctor

Each line says what was tried and found: ok; -- to be looked at once, or not to be told from outside; !! to be mended, with the
remedy. In this order:
  configuration   every variable, as the programs check it at their start
  token           asks the auth server for one
  process         reads the process's description: is it AuditLogsIngestion, synchronous or not
  role            executes it without inputs, which is refused after the role was looked at; nothing is inserted
  jobs            JOB_AUTH_ROLE: another token, and a job that does not exist
  ledger          how it is set up; claims a key that no download has, and frees it
  QUARANTINE, HELD  writes a probe and removes it; counts what waits
  queue           QUEUE_URL or --queue: reads its attributes and those of its dead letters
  bucket          CLOUDTRAIL_BUCKET or --bucket: lists it and reads the first bytes of a log file, KMS included
  webhook token   that it can be read, where it is in Secrets Manager
  Plausible       asks for GET /api/health, and sends one event named `s3audit check`, not interactive and without a visitor's
                  address, since only an event tells whether the site is known. No goal has this name, so no dashboard lists it
AWS is asked with the credentials in this environment, which may do more or less than the functions' roles.

Status: 0 = all is well, 1 = something is to be mended, 64 = wrong usage or settings.

Settings (environment, or a .env file): those of the programs.";

/// For which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    /// `lambda-cloudtrail`
    Cloudtrail,
    /// `lambda-minio-http`
    MinioHttp,
}

/// Arguments of `s3audit doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Look with this program's eyes; what it needs and is not set is to be mended then
    #[arg(long, value_enum)]
    program: Option<Which>,
    /// The queue that triggers the function; `QUEUE_URL` where it is not given
    #[arg(long, value_name = "URL")]
    queue: Option<String>,
    /// The log bucket; `CLOUDTRAIL_BUCKET` where it is not given
    #[arg(long, value_name = "s3://BUCKET/PREFIX")]
    bucket: Option<String>,
    /// The function's time limit, which the queue's visibility timeout is measured against
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    function_timeout: u64,
}

/// Looks, and tells.
pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let mut report = Report::default();
    if let Some(config) = settings::check(args.program, &mut report)? {
        Looks { args: &args, config: &config, clock: Clock::system(), report: &mut report }.all().await?;
    }
    Ok(report.status())
}
