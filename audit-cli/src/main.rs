//! `s3audit`: metering records from audit trails, at the command line.

mod output;
mod parse;
mod progress;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
            ExitCode::from(USAGE)
        }
    }
}

/// Does it; an error is one of usage or settings.
fn run(command: Command) -> anyhow::Result<ExitCode> {
    match dotenvy::dotenv() {
        Ok(_) => {}
        Err(error) if error.not_found() => {}
        // The library's own message quotes the line, which may hold a secret.
        Err(_) => anyhow::bail!(".env: expected lines of NAME=value"),
    }
    match command {
        Command::Parse(args) => Ok(parse::run(&args, &parse::Settings::load()?)),
    }
}

/// Tells the user on standard error; where that is closed, nobody listens.
fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "s3audit: {error:#}");
}
