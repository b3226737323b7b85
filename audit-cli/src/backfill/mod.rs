//! `s3audit backfill`: the log files of past days, delivered from here or sent to the function's own queue.

mod dry_run;
mod enqueue;
mod here;
mod source;
mod state;
mod stop;
mod survey;
mod watch;

use std::io::{Write, stderr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use audit_core::tally::Tally;
use jiff::civil::Date;

use self::source::{Source, url};
use crate::work::{LEFT, Mistake, Usage, Work};

const EXAMPLES: &str = "\
Examples:
  s3audit backfill s3://my-trail --from 2026-03-01 --to 2026-03-31 --dry-run
  s3audit backfill s3://my-trail/AWSLogs/111122223333/CloudTrail/eu-west-2 --from 2026-03-01 --to 2026-03-31 --jobs 8
  s3audit backfill s3://my-trail --from 2026-01-01 --enqueue --queue https://sqs.eu-west-2.amazonaws.com/111122223333/logs
  s3audit backfill s3://my-trail/copies --from 2019-01-01 --to 2019-12-31 --allow-expired

Days are those of the log files, in UTC: of CloudTrail's folders (organisation trails included) where there are any, else of the
file names, else of the time of writing. Files of a day may hold events of the last minutes of the day before. Digests, Insights,
folders and empty objects are counted and passed over; other services' folders are left alone.

Files are delivered as the function delivers them: through its ledger, so that what was delivered before is a duplicate. Finished
files are remembered in --state (by key and ETag, for one resource server and ledger, or one queue), and passed over by the next
run, also after Ctrl-C or a kill. A file that cannot be read, or with downloads that stay pending, is named, and tried again by the
next run; ten of the latter without one delivery end the run, as the resource server or the ledger does not work then. Events for
the dashboard are never sent: past reads count as too late.

With --enqueue nothing is read here: files are sent to the queue that lambda-cloudtrail reads (LogQueueUrl among the stack's
outputs), and its concurrency, retries and dead letters do the work. Only s3:ListBucket and sqs:SendMessage are needed then.

The last line on standard error accounts for every record of this run, as one JSON object.

Status: 0 = all is done, 1 = something is left (each says why), 64 = wrong usage or settings.

Settings (environment, or a .env file): those of lambda-cloudtrail, the same LEDGER_URL and LEDGER_TTL above all, and AWS's own.";

/// Arguments of `s3audit backfill`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Args {
    /// Where the log files are: a bucket, or a folder in it
    #[arg(value_name = "s3://BUCKET/PREFIX", value_parser = url)]
    source: Source,
    /// The first day
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Date,
    /// The last day; today where it is not given
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: Option<Date>,
    /// Files read side by side
    #[arg(long, value_name = "N", default_value = "4")]
    jobs: NonZeroUsize,
    /// Send the files to the function's own queue instead of reading them here
    #[arg(long)]
    enqueue: bool,
    /// That queue; `QUEUE_URL` where it is not given
    #[arg(long, value_name = "URL", requires = "enqueue", value_parser = queue_url)]
    queue: Option<String>,
    /// Files in one message, which come again together when one of them fails
    #[arg(long, value_name = "N", default_value = "10", requires = "enqueue")]
    files_per_message: NonZeroUsize,
    /// Tell what there is and what it would take; deliver and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Where finished files are remembered; made where there is none
    #[arg(long, value_name = "FILE", default_value = "s3audit-backfill.state")]
    state: PathBuf,
    /// Take finished files again
    #[arg(long)]
    again: bool,
    /// Take days of which the ledger has forgotten what was delivered
    #[arg(long)]
    allow_expired: bool,
}

/// What was left undone, and why.
#[derive(Debug, Default)]
struct Ended {
    tally: Tally,
    /// Files passed over, as an earlier run finished them.
    before: u64,
    /// Folders of other services, or of none.
    foreign: u64,
    /// Files that are not finished.
    left: u64,
    /// Why the rest was not begun.
    stopped: Option<String>,
}

/// Does it; an error is one of usage or settings, or what stopped it.
pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let work = Work::load()?;
    let plan = source::plan(&args, &work)?;
    if args.dry_run {
        dry_run::run(&args, &work, &plan).await?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(why) = plan.expired.as_ref().filter(|_| !args.allow_expired) {
        bail!(Mistake(why.clone()));
    }
    let ended =
        if args.enqueue { enqueue::run(&args, &work, &plan).await? } else { here::run(&args, &work, &plan).await? };
    ended.tell()
}

impl Ended {
    fn tell(self) -> Result<ExitCode> {
        let mut err = stderr();
        if self.before > 0 {
            writeln!(err, "s3audit: {} files were finished by an earlier run", self.before)?;
        }
        if self.foreign > 0 {
            writeln!(err, "s3audit: {} folders without logs of CloudTrail were left alone", self.foreign)?;
        }
        if self.left > 0 {
            writeln!(err, "s3audit: {} files are not finished; the same command goes on with them", self.left)?;
        }
        if let Some(why) = &self.stopped {
            writeln!(err, "s3audit: stopped: {why}; the same command goes on from here")?;
        }
        writeln!(err, "{}", serde_json::to_string(&self.tally)?)?;
        let done = self.left == 0 && self.stopped.is_none();
        Ok(if done { ExitCode::SUCCESS } else { ExitCode::from(LEFT) })
    }
}

fn queue_url(text: &str) -> Result<String, &'static str> {
    let sound = (text.starts_with("https://") || text.starts_with("http://")) && !text.contains(char::is_whitespace);
    if !sound {
        return Err("expected a queue's URL, such as https://sqs.REGION.amazonaws.com/ACCOUNT/NAME");
    }
    standard(text).map(str::to_owned)
}

/// S3 notifies no FIFO queue, so none feeds the function.
fn standard(url: &str) -> Result<&str, &'static str> {
    if url.trim_end_matches('/').rsplit('.').next() == Some("fifo") {
        Err("expected a standard queue; the function's is no FIFO queue")
    } else {
        Ok(url)
    }
}

/// The queue to send to.
fn queue(args: &Args, work: &Work) -> Result<String> {
    let url = args.queue.clone().or_else(|| work.config.receiver.queue_url.clone());
    let url = url.ok_or(Usage("--queue (or QUEUE_URL): expected the URL of the queue that lambda-cloudtrail reads"))?;
    Ok(standard(&url).map_err(Usage)?.to_owned())
}
