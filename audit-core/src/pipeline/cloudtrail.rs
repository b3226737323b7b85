//! The CloudTrail function: one invocation's log files, read side by side, delivered, and accounted for by message.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout_at};

use super::errand::{self, Errand, READS};
use super::object::fetch;
use super::{Pipeline, settle};
use crate::analytics::Read;
use crate::quarantine::Quarantined;
use crate::record::Download;
use crate::source::cloudtrail::{self, LogFile};
use crate::source::found::{Found, Item};
use crate::tally::{Analytics, Deliveries, Tally};
use crate::trigger::{Reader, TriggerError, Work};

/// Files read at a time: enough to keep network, decompressor and upstream busy at once, few enough to bound memory.
const SIDE_BY_SIDE: usize = 4;

/// What an invocation came to.
#[derive(Debug, Default)]
pub struct Run {
    /// The accounting.
    pub tally: Tally,
    /// Messages (of SQS) that must come again.
    pub failed_messages: Vec<String>,
    /// What went wrong, one text for each object or message.
    pub troubles: Vec<String>,
    /// When the oldest of its messages was sent to SQS, in milliseconds since 1970.
    pub oldest_sent_ms: Option<i64>,
    /// Status of the resource server's last answer.
    pub api_status: Option<u16>,
    /// Whether it came from SQS, which wants to know failed messages alone.
    pub from_sqs: bool,
    /// Something failed that no message's id stands for: the invocation as a whole must come again.
    pub unnamed_failure: bool,
}

/// The answer to a direct invocation; its keys are those of the system this one replaces.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    status: &'static str,
    logs_count: u64,
    api_status: Option<u16>,
    tally: &'a Tally,
}

impl Run {
    /// The answer to a direct invocation.
    #[must_use]
    pub fn answer(&self) -> Answer<'_> {
        let logs_count = self.tally.downloads;
        let status = if logs_count == 0 { "no_logs_found" } else { "completed" };
        Answer { status, logs_count, api_status: self.api_status, tally: &self.tally }
    }
}

/// Reads CloudTrail logs and delivers them.
#[derive(Debug)]
pub struct CloudTrail {
    pipeline: Arc<Pipeline>,
    s3: aws_sdk_s3::Client,
    /// Events that name another bucket are refused.
    bucket: Option<String>,
}

/// What one object or one piece of inline records came to.
#[derive(Debug, Default)]
struct Part {
    tally: Tally,
    api_status: Option<u16>,
    trouble: Option<String>,
    /// What was found, where there are reads for the dashboard in it.
    reads: Option<Found>,
    /// How many reads can no longer be read back.
    lost_reads: u64,
}

impl CloudTrail {
    /// Reads from `s3`, only from `bucket` if one is given.
    #[must_use]
    pub fn new(pipeline: Arc<Pipeline>, s3: aws_sdk_s3::Client, bucket: Option<String>) -> Self {
        Self { pipeline, s3, bucket }
    }

    /// Where the records go.
    #[must_use]
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Does what `payload` asks for, and is back by `until`; what was not reached then is told as failed.
    ///
    /// # Errors
    /// When nothing can be made of the payload.
    pub async fn run(self: &Arc<Self>, payload: &[u8], request_id: &str, until: Instant) -> Result<Run, TriggerError> {
        let max_decompressed_bytes = self.pipeline.limits().max_text_bytes;
        let reader = Reader { request_id, bucket: self.bucket.as_deref(), max_decompressed_bytes };
        let invocation = reader.read(payload)?;
        let mut run = Run { from_sqs: invocation.from_sqs, ..Run::default() };
        run.tally.deliveries = self.pipeline.delivers().then(Deliveries::default);
        let mut failed = vec![false; invocation.messages.len()];
        let mut parts = JoinSet::new();
        let places = Arc::new(Semaphore::new(SIDE_BY_SIDE));
        let (mut messages, mut reads, mut lost_reads) = (Vec::new(), Vec::new(), 0);
        for (index, message) in invocation.messages.into_iter().enumerate() {
            messages.push((message.id, message.receipts));
            run.waited_since(message.sent_ms);
            match message.work {
                Err(error) => run.fail(&mut failed, index, error.to_string()),
                Ok(works) => {
                    for work in works {
                        let (own, places) = (Arc::clone(self), Arc::clone(&places));
                        parts.spawn(async move {
                            let _place = places.acquire_owned().await;
                            (index, own.work(work, until).await)
                        });
                    }
                }
            }
        }
        while let Some(part) = parts.join_next().await {
            match part {
                Ok((index, part)) => {
                    run.tally += part.tally;
                    run.api_status = part.api_status.or(run.api_status);
                    reads.extend(part.reads.map(|found| (index, found)));
                    lost_reads += part.lost_reads;
                    if let Some(trouble) = part.trouble {
                        run.fail(&mut failed, index, trouble);
                    }
                }
                // Which message broke is not told; all come again, and the ledger keeps what was delivered.
                Err(error) => {
                    failed.fill(true);
                    run.troubles.push(format!("a worker broke: {error}"));
                }
            }
        }
        for ((id, _), _) in messages.iter().zip(failed).filter(|(_, failed)| *failed) {
            match id.clone() {
                Some(id) => run.failed_messages.push(id),
                None => run.unnamed_failure = true,
            }
        }
        if let Some(dashboard) = self.pipeline.dashboard() {
            let mut errand = Errand::new(dashboard, until);
            errand.lose(lost_reads);
            let told = show(errand, reads).await;
            errand::account(&mut run, told, &messages);
        }
        Ok(run)
    }

    async fn work(&self, work: Work, until: Instant) -> Part {
        match work {
            Work::Skipped(_) => skipped(),
            Work::Object { bucket, key, size: _ } => self.object(&bucket, &key, until).await,
            Work::Records { json, origin } => self.records(json, &origin, until).await,
        }
    }

    async fn object(&self, bucket: &str, key: &str, until: Instant) -> Part {
        let origin = format!("s3://{bucket}/{key}");
        let read = fetch(&self.s3, (bucket, key), self.pipeline.policy().clone(), self.pipeline.limits());
        match timeout_at(until, read).await {
            Ok(Ok(Some(file))) => self.deliver(file, &origin, until).await,
            Ok(Ok(None)) => skipped(),
            Ok(Err(error)) => failed(&origin, &error.to_string()),
            Err(_) => failed(&origin, "not read before the end of the invocation"),
        }
    }

    async fn records(&self, json: Vec<u8>, origin: &Arc<str>, until: Instant) -> Part {
        let (policy, limits, name) = (self.pipeline.policy().clone(), self.pipeline.limits(), Arc::clone(origin));
        let read = spawn_blocking(move || cloudtrail::read(json.as_slice(), &name, &policy, &limits)).await;
        match read {
            Ok(Ok(Some(file))) => self.deliver(file, origin, until).await,
            Ok(Ok(None)) => skipped(),
            Ok(Err(error)) => failed(origin, &error.to_string()),
            Err(error) => failed(origin, &format!("the reader broke: {error}")),
        }
    }

    /// Takes a good file's findings onward, a batch in memory at a time. All that is to be quarantined is written before anything
    /// is delivered: where that fails, the whole object comes again and counts in nothing.
    async fn deliver(&self, file: LogFile, origin: &str, until: Instant) -> Part {
        let mut part = Part::default();
        part.tally.objects.read = 1;
        for (reason, records) in file.skipped {
            part.tally.skip(reason, records);
        }
        let found = match self.quarantine(file.found, origin, &mut part.tally).await {
            Ok(found) => found,
            Err(trouble) => return failed(origin, &trouble),
        };
        match self.downloads(found, origin, &mut part, until).await {
            Ok(mut found) => {
                if found.reads() > 0 && self.pipeline.shows() {
                    match found.park() {
                        Ok(()) => part.reads = Some(found),
                        Err(error) => {
                            tracing::error!(%error, origin, "reads for the dashboard cannot be read back");
                            part.lost_reads = found.reads();
                        }
                    }
                }
                part
            }
            Err(trouble) => failed(origin, &trouble),
        }
    }

    async fn quarantine(&self, mut found: Found, origin: &str, tally: &mut Tally) -> Result<Found, String> {
        if found.quarantined() == 0 {
            return Ok(found);
        }
        loop {
            let (items, rest) = next_items(found, self.pipeline.batch_max_records(), quarantined).await?;
            found = rest;
            if items.is_empty() {
                break;
            }
            let reasons: Vec<_> = items.iter().map(|record| record.reason).collect();
            self.pipeline.quarantine(origin, items).await.map_err(|error| error.to_string())?;
            for reason in reasons {
                tally.quarantine(reason);
            }
        }
        found.rewind().map_err(|error| format!("what was found cannot be read back: {error}"))?;
        Ok(found)
    }

    async fn downloads(
        &self,
        mut found: Found,
        origin: &str,
        part: &mut Part,
        until: Instant,
    ) -> Result<Found, String> {
        loop {
            let (items, rest) = next_items(found, self.pipeline.batch_max_records(), download).await?;
            found = rest;
            if items.is_empty() {
                return Ok(found);
            }
            let Some(report) = self.pipeline.deliver(&items, until).await else {
                part.tally.records += items.len() as u64;
                part.tally.downloads += items.len() as u64;
                continue;
            };
            settle::count(&mut part.tally, &report);
            part.api_status = report.last_status.or(part.api_status);
            if settle::any_pending(&report) {
                let why = report.trouble.unwrap_or_else(|| "not delivered yet".to_owned());
                part.trouble.get_or_insert_with(|| format!("{origin}: downloads are pending: {why}"));
            }
        }
    }
}

fn quarantined(item: Item) -> Option<Quarantined> {
    match item {
        Item::Quarantined(record) => Some(record),
        Item::Download(_) | Item::Read(_) => None,
    }
}

fn read(item: Item) -> Option<Read> {
    match item {
        Item::Read(read) => Some(read),
        Item::Download(_) | Item::Quarantined(_) => None,
    }
}

/// Sends the reads of all files, each with the number of its message.
async fn show(mut errand: Errand<'_>, files: Vec<(usize, Found)>) -> (Analytics, BTreeMap<usize, u64>) {
    for (message, mut found) in files {
        let mut left = found.reads();
        let bucket = log_bucket(found.origin()).map(str::to_owned);
        loop {
            match next_items(found, READS, read).await {
                Ok((reads, _)) if reads.is_empty() => break,
                Ok((reads, rest)) => {
                    left = left.saturating_sub(reads.len() as u64);
                    let (own, others): (Vec<_>, Vec<_>) =
                        reads.into_iter().partition(|read| is_our_own(read, bucket.as_deref()));
                    errand.exclude(own.len() as u64);
                    errand.send(others.into_iter().map(|read| (message, read)).collect()).await;
                    found = rest;
                }
                Err(error) => {
                    tracing::error!(error, "reads for the dashboard are lost with their temporary file");
                    errand.lose(left);
                    break;
                }
            }
        }
    }
    errand.finish().await
}

/// The bucket of a log file, of `s3://BUCKET/KEY`.
fn log_bucket(origin: &str) -> Option<&str> {
    origin.strip_prefix("s3://")?.split('/').next()
}

/// Whether somebody reads the logs themselves, as this function does: where the trail records its own bucket too, each log file would
/// make an event, and that one another.
fn is_our_own(read: &Read, log_bucket: Option<&str>) -> bool {
    log_bucket == Some(read.bucket.as_str()) && (read.key.starts_with("AWSLogs/") || read.key.contains("/AWSLogs/"))
}

fn download(item: Item) -> Option<Download> {
    match item {
        Item::Download(download) => Some(download),
        Item::Quarantined(_) | Item::Read(_) => None,
    }
}

/// The next items of one kind, read on a thread that may wait for a file.
async fn next_items<T: Send + 'static>(
    mut found: Found,
    limit: usize,
    kind: fn(Item) -> Option<T>,
) -> Result<(Vec<T>, Found), String> {
    let read = move || {
        let items: Result<Vec<T>, _> =
            found.by_ref().filter_map(|item| item.map(kind).transpose()).take(limit).collect();
        items.map(|items| (items, found))
    };
    match spawn_blocking(read).await {
        Ok(read) => read.map_err(|error| format!("what was found cannot be read back: {error}")),
        Err(error) => Err(format!("the reader broke: {error}")),
    }
}

fn skipped() -> Part {
    let mut part = Part::default();
    part.tally.objects.skipped = 1;
    part
}

impl Run {
    pub(super) fn waited_since(&mut self, sent_ms: Option<i64>) {
        self.oldest_sent_ms = self.oldest_sent_ms.into_iter().chain(sent_ms).min();
    }

    fn fail(&mut self, failed: &mut [bool], index: usize, trouble: String) {
        if let Some(failed) = failed.get_mut(index) {
            *failed = true;
        }
        self.troubles.push(trouble);
    }
}

/// An object that failed: nothing of it counts but itself.
fn failed(origin: &str, trouble: &str) -> Part {
    let mut part = Part { trouble: Some(format!("{origin}: {trouble}")), ..Part::default() };
    part.tally.objects.failed = 1;
    part
}
