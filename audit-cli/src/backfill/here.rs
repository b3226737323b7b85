//! Reads and delivers the log files from here, as the function does.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use audit_core::config::{Environment, Strings};
use audit_core::ledger::LedgerUrl;
use audit_core::pipeline::backfill::{Listed, Lister, Met};
use audit_core::pipeline::cloudtrail::{CloudTrail, Run};
use audit_core::pipeline::{Parts, Pipeline};
use audit_core::spool::Spool;
use audit_core::tally::Deliveries;
use secrecy::ExposeSecret;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::state::{Rate, State};
use super::stop::Stop;
use super::survey;
use super::watch::Watch;
use super::{Args, Ended, source::Plan};
use crate::complain;
use crate::work::{Usage, Work};

/// How long one file may take, waits for the resource server included.
const FILE: Duration = Duration::from_mins(15);
/// So many files that stay pending, with nothing delivered in between, end the run: what they wait for does not work. At least
/// twice the files side by side, as those of a killed run may wait for its leases.
const PENDING_IN_A_ROW: usize = 10;
/// Less is no measure of anything.
const MEASURABLE: Duration = Duration::from_secs(1);

type Done = (Listed, Result<Run, String>);

/// Reads and delivers what is planned.
pub(super) async fn run(args: &Args, work: &Work, plan: &Plan) -> Result<Ended> {
    let mut stop = Stop::listen()?;
    let cloudtrail = open(work).await?;
    let target = target(work)?;
    let state = State::open(&args.state, &target)?;
    let (total, survey) = survey::in_background(args, work, plan, &target)?;
    let mut run =
        Here { args, cloudtrail, state, watch: Watch::new(total), ended: Ended::default(), pending_in_a_row: 0 };
    run.ended.tally.deliveries = Some(Deliveries::default());
    let outcome = run.all(plan.lister(&args.source, work), &mut stop).await;
    survey.abort();
    run.watch.finish();
    if let Err(error) = outcome {
        run.ended.stopped = Some(format!("{error:#}"));
    }
    run.keep_rate();
    Ok(run.ended)
}

struct Here<'a> {
    args: &'a Args,
    cloudtrail: Arc<CloudTrail>,
    state: State,
    watch: Watch,
    ended: Ended,
    pending_in_a_row: usize,
}

impl Here<'_> {
    async fn all(&mut self, mut lister: Lister, stop: &mut Stop) -> Result<()> {
        let mut running = JoinSet::new();
        let mut going = Ok(true);
        while matches!(going, Ok(true)) && self.ended.stopped.is_none() {
            if running.len() >= self.args.jobs.get() {
                tokio::select! {
                    Some(done) = running.join_next() => self.done(done),
                    () = stop.asked() => {}
                }
            } else {
                going = tokio::select! {
                    biased;
                    () = stop.asked() => Ok(false),
                    met = lister.next() => met.map_err(Into::into).and_then(|met| self.met(met, &mut running)),
                };
            }
            while let Some(done) = running.try_join_next() {
                self.done(done);
            }
            if stop.is_asked() {
                self.ended.stopped = Some("interrupted".to_owned());
            }
        }
        // Never dropped half-way, whatever went wrong: that would leave claims behind, and batches in doubt.
        while let Some(done) = running.join_next().await {
            self.done(done);
        }
        going.map(drop)
    }

    /// Begins with what was met; `false` at the end of the list.
    fn met(&mut self, met: Option<Met>, running: &mut JoinSet<Done>) -> Result<bool> {
        match met {
            None => return Ok(false),
            Some(Met::Skipped(_)) => self.ended.tally.objects.skipped += 1,
            Some(Met::Foreign(_)) => self.ended.foreign += 1,
            Some(Met::Log(file)) if !self.args.again && self.state.knows(&self.args.source.bucket, &file)? => {
                self.ended.before += 1;
            }
            Some(Met::Log(file)) => {
                let (cloudtrail, bucket) = (Arc::clone(&self.cloudtrail), self.args.source.bucket.clone());
                running.spawn(async move {
                    let event = serde_json::json!({"bucket": bucket, "key": file.key}).to_string();
                    let run = cloudtrail.run(event.as_bytes(), "backfill", Instant::now() + FILE).await;
                    (file, run.map_err(|error| error.to_string()))
                });
            }
        }
        Ok(true)
    }

    fn done(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let bucket = &self.args.source.bucket;
        let (file, run) = match done {
            Ok((file, Ok(run))) => (file, run),
            Ok((file, Err(why))) => return self.failed(&format!("s3://{bucket}/{}: {why}", file.key)),
            Err(error) => return self.failed(&format!("a worker broke: {error}")),
        };
        self.watch.done(file.size);
        // What holds no downloads says nothing of the resource server.
        match run.tally.deliveries {
            Some(own) if own.delivered > 0 => self.pending_in_a_row = 0,
            Some(own) if own.pending > 0 => self.pending_in_a_row += 1,
            Some(_) | None => {}
        }
        self.ended.tally += run.tally;
        if run.troubles.is_empty() {
            if let Err(error) = self.state.remember(bucket, &[file]) {
                self.ended.stopped.get_or_insert(format!("{error:#}"));
            }
            return;
        }
        self.ended.left += 1;
        self.watch.aside(|| run.troubles.iter().for_each(|why| complain(&anyhow::anyhow!("{why}"))));
        let most = PENDING_IN_A_ROW.max(self.args.jobs.get().saturating_mul(2));
        if self.pending_in_a_row >= most {
            self.ended.stopped.get_or_insert(format!("{most} files in a row stay pending, and nothing is delivered"));
        }
    }

    fn failed(&mut self, what: &str) {
        self.ended.left += 1;
        self.ended.tally.objects.failed += 1;
        self.watch.aside(|| complain(&anyhow::anyhow!("{what}")));
    }

    #[allow(clippy::cast_precision_loss, reason = "what it is for is an estimate")]
    fn keep_rate(&self) {
        let (files, took) = self.watch.so_far();
        if took < MEASURABLE || files == 0 {
            return;
        }
        let rate = Rate { jobs: self.args.jobs.get() as f64, files: files as f64, seconds: took.as_secs_f64() };
        if let Err(error) = self.state.keep_rate(rate) {
            complain(&error);
        }
    }
}

/// The function's pipeline; events for the dashboard are too late whatever their age.
async fn open(work: &Work) -> Result<Arc<CloudTrail>> {
    let mut config = work.config.clone();
    if config.process.is_none() {
        bail!(Usage("PROCESS_API_URL: expected a URL, as this delivers (or --enqueue, to let the function do it)"));
    }
    if let Some(analytics) = &mut config.analytics {
        analytics.max_age = Duration::ZERO;
    }
    let parts = Parts { spool: spool(work)?, side_by_side: true, ..Parts::default() };
    let pipeline = Arc::new(Pipeline::open(&config, work.clock(), parts).await?);
    Ok(Arc::new(CloudTrail::new(pipeline, config.aws.s3(), config.cloudtrail_bucket)))
}

/// The spool, where the ledger is in it.
fn spool(work: &Work) -> Result<Option<Spool>> {
    match work.config.ledger {
        LedgerUrl::Redis(_) | LedgerUrl::DynamoDb(_) => Ok(None),
        LedgerUrl::Memory => bail!(Usage(
            "LEDGER_URL: expected the ledger of lambda-cloudtrail; memory: is gone with this run, so that the next one would bill everything again"
        )),
        LedgerUrl::Spool if Environment.get("LEDGER_URL").is_none_or(|own| own.trim().is_empty()) => bail!(Usage(
            "LEDGER_URL: expected the ledger of lambda-cloudtrail, such as dynamodb://TABLE; what the function delivered is not known to \
             another, and would be billed again (spool: only when it is written out, where no function delivers)"
        )),
        LedgerUrl::Spool => {
            let directory = &work.config.receiver.spool;
            let spool = if directory.join("spool.db").exists() {
                Spool::attach(directory, work.clock().clone())
            } else {
                Spool::open(directory, work.clock().clone())
            };
            Ok(Some(spool.context("SPOOL: expected a directory for the ledger, as LEDGER_URL is spool:")?))
        }
    }
}

/// What files are finished for: another resource server or ledger has not seen them.
fn target(work: &Work) -> Result<String> {
    let ledger = match &work.config.ledger {
        LedgerUrl::Memory => "memory".to_owned(),
        LedgerUrl::Spool => format!("spool {}", std::path::absolute(&work.config.receiver.spool)?.display()),
        LedgerUrl::Redis(url) => format!("redis {}", url.expose_secret()),
        LedgerUrl::DynamoDb(table) => format!("dynamodb {} {table}", work.config.aws.region),
    };
    let process = work.config.process.as_ref().map(|own| own.url.to_string()).unwrap_or_default();
    Ok(format!("deliver {process} {ledger}"))
}

/// What [`dry_run`](super::dry_run) needs to know what is finished.
pub(super) fn finished(args: &Args, work: &Work) -> Result<Option<State>> {
    if args.again || !args.state.exists() {
        return Ok(None);
    }
    let target = if args.enqueue { super::enqueue::target(&super::queue(args, work)?) } else { target(work)? };
    State::open(&args.state, &target).map(Some)
}
