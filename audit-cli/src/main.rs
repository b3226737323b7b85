//! `s3audit`: metering records from audit trails, at the command line.

mod doctor;
mod output;
mod parse;
mod progress;
mod settings;

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
    /// Tells whether what the programs need is there, with the remedy where it is not
    Doctor(doctor::Args),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let shown = error.print();
            return if error.use_stderr() || shown.is_err() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match cli.command {
        Command::Doctor(_) => match settings::load().and_then(|_| doctor::settings()) {
            Ok(config) => doctor::run(config.as_ref()).unwrap_or_else(|error| {
                complain(&error);
                ExitCode::FAILURE
            }),
            Err(error) => {
                complain(&error);
                ExitCode::from(USAGE)
            }
        },
        Command::Parse(args) => match settings::load() {
            Ok(settings) => parse::run(&args, &settings),
            Err(error) => {
                complain(&error);
                ExitCode::from(USAGE)
            }
        },
    }
}

/// Tells the user on standard error; where that is closed, nobody listens.
fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "s3audit: {error:#}");
}
