//! `s3audit quarantine`: records that could not be billed as they were.

mod filter;
mod list;
mod replay;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use self::filter::Filter;
use crate::work::{LEFT, SETTINGS, Work};

const EXAMPLES: &str = "\
Examples:
  s3audit quarantine list
  s3audit quarantine list --records --reason invalid_user_id
  s3audit quarantine replay --reason rejected --day 2026-03-12
  s3audit quarantine replay --id 7b4c2e1a-0d7e-4d6f-9a6b-3f1f0e2d4c5b --set userId=0b5f1c2a-6c1e-4b7e-9c55-1d5e2f3a4b6c

Status: 0 = done, 1 = something is left (replay: pending, or held), 64 = wrong usage or settings.";

const REPLAY: &str = "\
Judges each record again, by the settings of now, and delivers what is a download then, each once by the ledger. What is dealt
with is remembered in the quarantine itself (replayed.done, or replayed/ in S3) beyond the ledger's own memory, and passed over
from then on; the records stay in their files. A record that is refused again gets a new line, which stands for it then.
Examples:
  s3audit quarantine replay
  s3audit quarantine replay --source s3://logs/AWSLogs/ --reason invalid_collection_id
  s3audit quarantine replay --source 's3://logs/a.json.gz#17' --set collectionId=2d6c7e90-11aa-4f0b-8a55-6f7e8d9c0b1a";

/// Arguments of `s3audit quarantine`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{SETTINGS}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Counts records by day, reason and source
    #[command(after_help = "Examples:\n  s3audit quarantine list\n  s3audit quarantine list --json --day 2026-03-12")]
    List {
        #[command(flatten)]
        filter: Filter,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
        /// Each record by itself, with its id
        #[arg(long)]
        records: bool,
    },
    /// Judges records again and delivers them
    #[command(after_help = REPLAY)]
    Replay {
        #[command(flatten)]
        filter: Filter,
        /// Puts a value in the place of the record's own: userId, collectionId, itemId, bytes or timestamp. For one record,
        /// named by --id or by --source with its number
        #[arg(long, value_name = "NAME=VALUE")]
        set: Vec<String>,
    },
}

/// Does it; an error is one of usage or settings, or what stopped it.
pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let work = Work::load()?;
    match args.action {
        Action::List { filter, json, records } => {
            list::list(&work.quarantine(), &filter, json, records).await?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Replay { filter, set } => {
            let left = replay::replay(&work, &filter, &set).await?;
            Ok(if left { ExitCode::from(LEFT) } else { ExitCode::SUCCESS })
        }
    }
}
