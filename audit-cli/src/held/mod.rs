//! `s3audit held`: batches that were sent and whose outcome nobody knows.

mod act;
mod database;
mod rows;

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::{Result, bail};
use audit_core::ledger::BatchId;
use audit_core::store::{HeldBatch, Store};
use clap::Subcommand;
use uuid::Uuid;

use crate::work::{LEFT, SETTINGS, Usage, Work};

const EXAMPLES: &str = "\
Examples:
  s3audit held list
  DATABASE_URL=postgres://reader@db.example/ogc s3audit held settle
  s3audit held resend 0199c0de-7a11-7c33-9f00-5e1d3a6b7c8d
  s3audit held drop --yes 0199c0de-7a11-7c33-9f00-5e1d3a6b7c8d

Status: 0 = done, 1 = something is left (each batch says why), 64 = wrong usage or settings.";

const SETTLE: &str = "\
Reads jobs_table and metering of the resource server's database (DATABASE_URL, read only, PostgreSQL without TLS: use a private
connection or a tunnel). A batch that is proven inserted is marked as delivered. One that is proven not inserted is delivered
now. Everything else stays held, and the reason is told:
  job SUCCESSFUL                              inserted
  job FAILED with a refusal or rolled back    not inserted
  job FAILED otherwise                        as the rows in metering tell
  no job, but one of a later batch, and the
  batch is older than --older-than            not inserted
Example:
  DATABASE_URL=postgres://reader@db.example/ogc s3audit held settle";

/// Arguments of `s3audit held`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{SETTINGS}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows what is held
    #[command(after_help = "Examples:\n  s3audit held list\n  s3audit held list --json | jq .records")]
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Settles what the resource server's database proves
    #[command(after_help = SETTLE)]
    Settle {
        /// A batch without a job counts as not inserted once it is this many seconds old
        #[arg(long, value_name = "SECONDS", default_value_t = 900)]
        older_than: u64,
        /// Batch ids; all that are held where none is named
        #[arg(value_name = "BATCH")]
        batches: Vec<Uuid>,
    },
    /// Delivers batches again, which bills twice what was inserted
    #[command(
        after_help = "Examples:\n  s3audit held resend 0199c0de-7a11-7c33-9f00-5e1d3a6b7c8d\n  s3audit held resend --all"
    )]
    Resend {
        /// All that are held
        #[arg(long, conflicts_with = "batches")]
        all: bool,
        /// Batch ids
        #[arg(value_name = "BATCH", required_unless_present = "all")]
        batches: Vec<Uuid>,
    },
    /// Counts batches as delivered, without delivering them
    #[command(after_help = "Example:\n  s3audit held drop --yes 0199c0de-7a11-7c33-9f00-5e1d3a6b7c8d")]
    Drop {
        /// Needed: what was not inserted will never be billed
        #[arg(long)]
        yes: bool,
        /// Batch ids
        #[arg(value_name = "BATCH", required = true)]
        batches: Vec<Uuid>,
    },
}

/// Does it; an error is one of usage or settings, or what stopped it.
pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let work = Work::load()?;
    let left = match args.action {
        Action::List { json } => list(&work.held(), json).await?,
        Action::Settle { older_than, batches } => act::settle(&work, batches, older_than).await?,
        Action::Resend { all: _, batches } => act::resend(&work, batches).await?,
        Action::Drop { yes: false, .. } => {
            bail!(Usage("--yes is needed: what was not inserted is never billed once its batch is dropped"))
        }
        Action::Drop { yes: true, batches } => act::drop_batches(&work, batches).await?,
    };
    Ok(if left { ExitCode::from(LEFT) } else { ExitCode::SUCCESS })
}

/// Prints each batch; says whether some could not be read.
async fn list(store: &Store, json: bool) -> Result<bool> {
    for batch in store.held().await? {
        let Some(held) = store.get_held(batch).await? else { continue };
        let bytes: u128 = held.downloads()?.iter().map(|download| u128::from(download.record.bytes)).sum();
        let HeldBatch { batch, held_at, what, lines } = &held;
        let records = lines.len();
        if json {
            let object = serde_json::json!({
                "batch": batch, "held_at": held_at, "what": what, "records": records, "bytes": bytes.to_string(),
            });
            writeln!(stdout(), "{object}")?;
        } else {
            writeln!(stdout(), "{batch}  {held_at}  {records} records  {bytes} bytes  {what}")?;
        }
    }
    Ok(false)
}

/// The batches named, or all.
async fn chosen(store: &Store, batches: Vec<Uuid>) -> Result<Vec<BatchId>> {
    Ok(if batches.is_empty() { store.held().await? } else { batches.into_iter().map(BatchId).collect() })
}
