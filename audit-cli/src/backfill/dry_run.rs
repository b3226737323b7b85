//! What there is and what it would take, without delivering or sending anything.

use std::io::{Write, stdout};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use audit_core::pipeline::backfill::{Listed, Sample, sample};
use audit_core::source::ReadLimits;
use indicatif::{HumanBytes, HumanDuration};
use tokio::task::JoinSet;

use super::source::Plan;
use super::state::Rate;
use super::survey::{Counted, Survey, count};
use super::{Args, here};
use crate::complain;
use crate::work::Work;

/// Messages in one request, and keys in one page of a list.
const REQUEST_MESSAGES: u64 = 10;

/// Tells what there is.
pub(super) async fn run(args: &Args, work: &Work, plan: &Plan) -> Result<()> {
    let state = here::finished(args, work)?;
    let known_rate = state.as_ref().map_or(Ok(None), super::state::State::rate)?;
    let lister = plan.lister(&args.source, work);
    let survey = count(lister, &args.source.bucket, state, Arc::new(Counted::default())).await?;
    let mut out = stdout();
    let Survey { files, bytes, skipped, before, foreign, archived, requests, .. } = &survey;
    let days = plan.days;
    writeln!(out, "files      {files} to take ({}), of {} to {}", HumanBytes(*bytes), days.from, days.to)?;
    if *before > 0 {
        writeln!(out, "finished   {before} more by an earlier run, passed over")?;
    }
    writeln!(out, "skipped    {skipped} objects without logs (digests, Insights, folders, empty)")?;
    if *foreign > 0 {
        writeln!(out, "others     {foreign} folders without logs of CloudTrail, left alone")?;
    }
    if *archived > 0 {
        writeln!(out, "archived   {archived} of the files are in S3 Glacier: restore them first, or they fail")?;
    }
    writeln!(out, "listed     by {requests} requests, and twice as many for each run, which counts beside its work")?;
    if args.enqueue {
        let messages = files.div_ceil(args.files_per_message.get() as u64);
        let sends = messages.div_ceil(REQUEST_MESSAGES);
        writeln!(
            out,
            "messages   {messages} or more, in {sends} requests or more; {files} files for the function to read"
        )?;
    } else {
        time(args, work, &survey, known_rate).await?;
    }
    if let Some(why) = plan.expired.as_ref().filter(|_| !args.allow_expired) {
        writeln!(out, "refused    {why}")?;
    }
    Ok(())
}

/// Tells how long it would take, by the last run, or by reading a few of the files.
#[allow(clippy::cast_precision_loss, reason = "an estimate")]
async fn time(args: &Args, work: &Work, survey: &Survey, known: Option<Rate>) -> Result<()> {
    let mut out = stdout();
    let jobs = args.jobs.get();
    writeln!(out, "requests   {} to read the files", survey.files)?;
    if survey.sample.is_empty() {
        return Ok(());
    }
    if let Some(rate) = known.filter(|rate| rate.files > 0.0) {
        let seconds = rate.seconds * survey.files as f64 / rate.files * rate.jobs / jobs as f64;
        let Rate { files, jobs: then, .. } = rate;
        return Ok(writeln!(
            out,
            "time       about {} with --jobs {jobs} (the last run took {} for {files:.0} files with --jobs {then:.0})",
            human(seconds),
            human(rate.seconds)
        )?);
    }
    let started = Instant::now();
    let (read, failed) = read(args, work, &survey.sample).await;
    let took = started.elapsed().as_secs_f64();
    let tried = survey.sample.len();
    let seconds = took * survey.files as f64 / tried as f64;
    writeln!(
        out,
        "time       about {} with --jobs {jobs}, and the resource server's time (read {tried} of the files in {})",
        human(seconds),
        human(took)
    )?;
    let whole = survey.files as f64 / (tried - failed).max(1) as f64;
    let (records, downloads) = ((read.records as f64 * whole).round(), (read.downloads as f64 * whole).round());
    Ok(writeln!(
        out,
        "records    about {records:.0}, of which {downloads:.0} are downloads, by the same files; {failed} of them failed"
    )?)
}

fn human(seconds: f64) -> String {
    if seconds < 1.0 {
        "1 second or less".to_owned()
    } else {
        HumanDuration(Duration::from_secs_f64(seconds.min(1e12))).to_string()
    }
}

/// Reads `files` as a run would; says what is in them, and how many cannot be read.
async fn read(args: &Args, work: &Work, files: &[Listed]) -> (Sample, usize) {
    let s3 = work.config.aws.s3();
    let limits = ReadLimits { max_text_bytes: work.config.max_decompressed_bytes, ..ReadLimits::default() };
    let (mut running, mut all, mut failed) = (JoinSet::new(), Sample::default(), 0);
    let mut take = |done: Option<Result<Result<Sample, String>, tokio::task::JoinError>>| match done {
        Some(Ok(Ok(own))) => {
            all.records += own.records;
            all.downloads += own.downloads;
        }
        Some(Ok(Err(why))) => {
            failed += 1;
            complain(&anyhow::anyhow!("{why}"));
        }
        Some(Err(_)) => failed += 1,
        None => {}
    };
    for file in files {
        if running.len() >= args.jobs.get() {
            take(running.join_next().await);
        }
        let (s3, bucket, key) = (s3.clone(), args.source.bucket.clone(), file.key.clone());
        let policy = work.config.metering.clone();
        running.spawn(async move {
            let read = sample(&s3, (&bucket, &key), policy, limits).await;
            read.map_err(|why| format!("s3://{bucket}/{key}: {why}"))
        });
    }
    while let Some(done) = running.join_next().await {
        take(Some(done));
    }
    (all, failed)
}
