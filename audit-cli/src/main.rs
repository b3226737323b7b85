//! `s3audit`: metering records from audit trails, at the command line.

mod backfill;
mod doctor;
mod held;
mod minio;
mod output;
mod parse;
mod progress;
mod quarantine;
mod work;

use std::io::Write;
use std::process::ExitCode;

use audit_core::config::ConfigError;
use clap::{Parser, Subcommand};

use crate::work::{LEFT, Mistake, Usage};

/// Wrong usage, settings included.
const USAGE: u8 = 64;

/// Metering records from storage audit trails.
#[derive(Parser)]
#[command(name = "s3audit", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prints the metering records found in log files
    Parse(parse::Args),
    /// Delivers the log files of past days, or sends them to the function's queue
    Backfill(backfill::Args),
    /// Tells whether what the programs need is there, with the remedy where it is not
    Doctor(doctor::Args),
    /// Has MinIO send its audit entries to the receiver, and proves that they arrive
    Minio(minio::Args),
    /// Settles batches that were sent and whose outcome is unknown
    Held(held::Args),
    /// Shows and replays records that could not be billed as they were
    Quarantine(quarantine::Args),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let shown = error.print();
            return if error.use_stderr() || shown.is_err() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match run(cli.command) {
        Ok(status) => status,
        Err(error) => {
            complain(&error);
            let is_usage = error.is::<Usage>() || error.is::<Mistake>() || error.is::<ConfigError>();
            ExitCode::from(if is_usage { USAGE } else { LEFT })
        }
    }
}

/// Does it; an error is one of usage or settings, or what stopped it.
fn run(command: Command) -> anyhow::Result<ExitCode> {
    match dotenvy::dotenv() {
        Ok(_) => {}
        Err(error) if error.not_found() => {}
        // The library's own message quotes the line, which may hold a secret.
        Err(_) => anyhow::bail!(Usage(".env: expected lines of NAME=value")),
    }
    match command {
        Command::Backfill(args) => wait_for(backfill::run(args)),
        Command::Doctor(args) => wait_for(doctor::run(args)),
        Command::Parse(args) => Ok(parse::run(&args, &parse::Settings::load()?)),
        Command::Minio(args) => wait_for(minio::run(args)),
        Command::Held(args) => wait_for(held::run(args)),
        Command::Quarantine(args) => wait_for(quarantine::run(args)),
    }
}

/// Runs work that talks to other servers.
fn wait_for(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// Tells the user on standard error; where that is closed, nobody listens.
fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "s3audit: {error:#}");
}
