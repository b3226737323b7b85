//! The receiver: a POST's entries, read, made durable, and accounted for, before it is answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::queue::Queue;
#[cfg(feature = "spool")]
use super::standalone::Standalone;
use super::{Pipeline, dashboard, settle};
use crate::analytics::Read;
use crate::quarantine::Quarantined;
use crate::record::Download;
use crate::sink::plausible::AnalyticsOutcome;
use crate::source::minio::{self, Reading};
#[cfg(feature = "spool")]
use crate::tally::Analytics;
use crate::tally::{Deliveries, Tally};

/// Bodies above this are read on a thread of their own, so that they do not hold up other requests.
const QUICK_BYTES: usize = 128 << 10;

/// How long a sender waits for the dashboard where nothing keeps reads.
const MOMENT: Duration = Duration::from_secs(2);
/// As many at a time as any ledger can claim well within that.
const READS_OF_A_MOMENT: usize = 50;

/// What makes entries durable.
#[derive(Debug)]
pub enum Durable {
    /// The spool on disk; a worker delivers from there.
    #[cfg(feature = "spool")]
    Spool(Arc<Standalone>),
    /// An SQS queue; the same function, triggered by it, delivers.
    Queue(Queue),
    /// Nothing: they are delivered before the answer.
    Delivery,
}

/// Takes MinIO's POSTs.
#[derive(Debug)]
pub struct Receiver {
    pipeline: Arc<Pipeline>,
    durable: Durable,
}

/// The entries are not durable: the sender must send them again.
#[derive(Debug, thiserror::Error)]
#[error("entries not taken: {0}")]
pub struct NotTaken(pub String);

impl Receiver {
    /// Takes entries for `pipeline`, durable by `durable`.
    #[must_use]
    pub fn new(pipeline: Arc<Pipeline>, durable: Durable) -> Self {
        Self { pipeline, durable }
    }

    /// What makes entries durable.
    #[must_use]
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// Reads the entries of one POST and makes each durable: spooled, queued, delivered, or in quarantine.
    ///
    /// What is kept comes before what is quarantined: sent again, the former is recognised, the latter is not.
    ///
    /// # Errors
    /// When some entry is not durable; the whole POST is to be sent again.
    pub async fn take(&self, body: Bytes, until: Instant) -> Result<Tally, NotTaken> {
        let id = Uuid::now_v7();
        let origin: Arc<str> = format!("request:{id}").into();
        let reading = self.read(body.clone(), Arc::clone(&origin)).await?;
        let mut tally = Tally::default();
        let kept = self.keep(&reading.downloads, &reading.reads, until).await?;
        tally.objects.skipped = reading.probes;
        for (&reason, &records) in &reading.skipped {
            tally.skip(reason, records);
        }
        self.quarantine(&origin, reading.quarantined, &mut tally).await?;
        if let Some(after) = reading.more_after {
            self.quarantine_more(body, &origin, after, &mut tally).await?;
        }
        if matches!(self.durable, Durable::Delivery) {
            self.show(&reading.reads, &mut tally, until).await;
        }
        #[cfg(feature = "spool")]
        if let Durable::Spool(standalone) = &self.durable {
            // What was kept is in the accounts already.
            let mut rest = tally.clone();
            if !self.pipeline.delivers() {
                rest.records += kept.records;
                rest.downloads += kept.downloads;
            }
            standalone.accounts().add(rest);
        }
        tally += kept;
        Ok(tally)
    }

    async fn read(&self, body: Bytes, origin: Arc<str>) -> Result<Reading, NotTaken> {
        let visits = self.pipeline.shows();
        if body.len() <= QUICK_BYTES {
            return Ok(minio::read_for(&body, &origin, self.pipeline.policy(), visits));
        }
        let policy = self.pipeline.policy().clone();
        let read = tokio::task::spawn_blocking(move || minio::read_for(&body, &origin, &policy, visits));
        read.await.map_err(|error| NotTaken(format!("the reader broke: {error}")))
    }

    async fn quarantine(&self, origin: &str, records: Vec<Quarantined>, tally: &mut Tally) -> Result<(), NotTaken> {
        let reasons: Vec<_> = records.iter().map(|record| record.reason).collect();
        let quarantined = self.pipeline.quarantine(origin, records).await;
        quarantined.map_err(|error| NotTaken(error.to_string()))?;
        for reason in reasons {
            tally.quarantine(reason);
        }
        Ok(())
    }

    /// Reads the body once more for what the first reading had no room for, and writes it a little at a time.
    async fn quarantine_more(
        &self,
        body: Bytes,
        origin: &Arc<str>,
        after: u64,
        tally: &mut Tally,
    ) -> Result<(), NotTaken> {
        let (policy, name) = (self.pipeline.policy().clone(), Arc::clone(origin));
        let (some, mut written) = mpsc::channel(1);
        let reader = tokio::task::spawn_blocking(move || {
            minio::quarantined_after(&body, &name, &policy, after, |records| some.blocking_send(records).is_ok());
        });
        while let Some(records) = written.recv().await {
            self.quarantine(origin, records, tally).await?;
        }
        reader.await.map_err(|error| NotTaken(format!("the reader broke: {error}")))
    }

    /// Makes downloads and reads durable, and tells the numbers.
    async fn keep(&self, downloads: &[Download], reads: &[Read], until: Instant) -> Result<Tally, NotTaken> {
        let count = downloads.len() as u64;
        let not_taken = |error: &dyn std::fmt::Display| NotTaken(error.to_string());
        let mut tally = Tally { records: count, downloads: count, ..Tally::default() };
        let metered = self.pipeline.meters();
        if metered {
            tally.deliveries = Some(Deliveries { pending: count, ..Deliveries::default() });
        }
        let downloads = if metered { downloads } else { &[] };
        match &self.durable {
            Durable::Queue(queue) => {
                queue.send(downloads, reads).await.map_err(|error| not_taken(&error))?;
                tally.analytics.events = reads.len() as u64;
                tally.analytics.pending = reads.len() as u64;
            }
            #[cfg(feature = "spool")]
            Durable::Spool(standalone) => {
                let new = standalone.append(downloads, reads).await.map_err(|error| not_taken(&error))?;
                if let Some(deliveries) = &mut tally.deliveries {
                    deliveries.pending = new.downloads;
                    tally.downloads = new.downloads;
                    tally.duplicates = count - new.downloads;
                }
                let events = reads.len() as u64;
                tally.analytics =
                    Analytics { events, pending: new.reads, duplicates: events - new.reads, ..Analytics::default() };
            }
            Durable::Delivery => {
                let Some(report) = self.pipeline.deliver(downloads, until).await else { return Ok(tally) };
                if settle::any_pending(&report) {
                    return Err(NotTaken(report.trouble.unwrap_or_else(|| "not delivered yet".to_owned())));
                }
                settle::settle(&mut tally, &report.outcomes);
            }
        }
        Ok(tally)
    }

    /// Sends reads that nothing keeps: as many as go within a moment, for the sender waits. Nobody tries the others again.
    async fn show(&self, reads: &[Read], tally: &mut Tally, until: Instant) {
        let Some(dashboard) = self.pipeline.dashboard().filter(|_| !reads.is_empty()) else { return };
        let until = until.min(Instant::now() + MOMENT);
        let mut outcomes = Vec::with_capacity(reads.len());
        for some in reads.chunks(READS_OF_A_MOMENT) {
            let more = dashboard.send(some, until).await;
            // When the server does not answer, or the moment is over, the rest is only looked at.
            let in_vain = more.contains(&AnalyticsOutcome::Pending) && (dashboard.is_down() || Instant::now() >= until);
            outcomes.extend(more);
            if in_vain {
                let rest = reads.get(outcomes.len()..).unwrap_or_default();
                outcomes.extend(dashboard.look_over(rest));
                break;
            }
        }
        let analytics = &mut tally.analytics;
        dashboard::count(analytics, &outcomes);
        let dropped = outcomes.iter().filter(|outcome| **outcome == AnalyticsOutcome::DroppedOnce).count() as u64;
        analytics.dropped += dropped;
        analytics.too_late += analytics.pending - dropped;
        analytics.pending = 0;
    }

    /// Whether entries would be made durable now.
    ///
    /// # Errors
    /// What is not ready.
    pub async fn ready(&self) -> Result<(), String> {
        match &self.durable {
            #[cfg(feature = "spool")]
            Durable::Spool(standalone) => standalone.ready().await?,
            Durable::Queue(queue) => queue.ping().await.map_err(|error| error.to_string())?,
            Durable::Delivery => {}
        }
        self.pipeline.ready().await
    }
}
