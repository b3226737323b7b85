//! The standalone receiver's other half: from the spool to the resource server, at its own pace.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use super::analytics_worker::AnalyticsWorker;
use super::{Pipeline, settle};
use crate::analytics::Read;
use crate::clock::Clock;
use crate::delivery::{Outcome, Seen};
use crate::logging;
use crate::policy::QuarantineReason;
use crate::quarantine::Quarantined;
use crate::record::Download;
use crate::spool::{Item, New, Sink, Spool, SpoolError, Stats};
use crate::tally::{Accounts, Analytics, Deliveries, Tally};

/// Entries that arrive within this of the first go into its batch.
const LINGER: Duration = Duration::from_millis(50);
/// Waits after something stayed pending: doubled from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LAST_WAIT: Duration = Duration::from_mins(1);
/// How long one call to the delivery may try.
const CALL: Duration = Duration::from_mins(2);

/// A spool and what delivers from it. One worker runs; requests append.
#[derive(Debug)]
pub struct Standalone {
    pipeline: Arc<Pipeline>,
    spool: Spool,
    accounts: Accounts,
    arrived: Notify,
    reads_arrived: Notify,
    clock: Clock,
}

impl Standalone {
    /// Delivers what is in `spool`. What an earlier process left there counts as received by this one.
    #[must_use]
    pub fn new(pipeline: Arc<Pipeline>, spool: Spool, clock: Clock) -> Self {
        let left = spool.stats(Sink::Metering).entries;
        let accounts = Accounts::default();
        let mut tally = Tally { records: left, downloads: left, ..Tally::default() };
        if pipeline.delivers() {
            tally.deliveries = Some(Deliveries { pending: left, ..Default::default() });
        }
        let reads = spool.stats(Sink::Analytics).entries;
        tally.analytics = Analytics { events: reads, pending: reads, ..Analytics::default() };
        accounts.add(tally);
        Self { pipeline, spool, accounts, arrived: Notify::new(), reads_arrived: Notify::new(), clock }
    }

    /// The accounts since start.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// How long the resource server took.
    #[must_use]
    pub fn latency(&self) -> Option<Seen> {
        self.pipeline.latency()
    }

    /// What waits in the spool.
    #[must_use]
    pub fn waiting(&self) -> Stats {
        self.spool.stats(Sink::Metering)
    }

    /// Whether entries could be appended.
    ///
    /// # Errors
    /// What is not ready.
    pub async fn ready(&self) -> Result<(), String> {
        self.spool.ping().await.map_err(|error| format!("spool: {error}"))
    }

    /// Appends downloads and reads durably, with one flush, and answers how many are new; the others are waiting or dealt with
    /// already. What it did is in the accounts when it returns, and also when nobody waits for it any more.
    pub(super) async fn append(self: &Arc<Self>, downloads: &[Download], reads: &[Read]) -> Result<New, SpoolError> {
        if downloads.is_empty() && reads.is_empty() {
            return Ok(New::default());
        }
        let encoded = |error: serde_json::Error| SpoolError::Failed(error.to_string());
        let downloads: Result<Vec<_>, _> = downloads.iter().map(Item::metering).collect();
        let reads: Result<Vec<_>, _> = reads.iter().map(Item::analytics).collect();
        let (downloads, reads) = (downloads.map_err(encoded)?, reads.map_err(encoded)?);
        let own = Arc::clone(self);
        let appended = tokio::spawn(async move { own.append_items(downloads, reads).await }).await;
        appended.map_err(|error| SpoolError::Failed(error.to_string()))?
    }

    /// The accounts have all as pending before a worker can see any, or it would settle what nobody has counted.
    async fn append_items(&self, downloads: Vec<Item>, reads: Vec<Item>) -> Result<New, SpoolError> {
        let given = New { downloads: downloads.len() as u64, reads: reads.len() as u64 };
        let mut waiting = Tally { records: given.downloads, downloads: given.downloads, ..Tally::default() };
        if given.downloads > 0 {
            waiting.deliveries = Some(Deliveries { pending: given.downloads, ..Deliveries::default() });
        }
        waiting.analytics = Analytics { events: given.reads, pending: given.reads, ..Analytics::default() };
        self.accounts.add(waiting);
        let new = match self.spool.append_both(downloads, reads).await {
            Ok(new) => new,
            Err(error) => {
                self.accounts.correct(|tally| {
                    if given.downloads > 0 {
                        settle::forget(tally, given.downloads);
                    }
                    tally.analytics.events -= given.reads;
                    tally.analytics.pending -= given.reads;
                });
                return Err(error);
            }
        };
        let known = New { downloads: given.downloads - new.downloads, reads: given.reads - new.reads };
        self.accounts.correct(|tally| {
            if known.downloads > 0 {
                settle::settle_many(tally, Outcome::Duplicate, known.downloads);
            }
            tally.analytics.duplicates += known.reads;
            tally.analytics.pending -= known.reads;
        });
        if new.downloads > 0 {
            self.arrived.notify_one();
        }
        if new.reads > 0 {
            self.reads_arrived.notify_one();
        }
        Ok(new)
    }

    /// Sends reads to the dashboard until `stop` turns true.
    pub async fn run_analytics(&self, stop: watch::Receiver<bool>) {
        let Self { pipeline, spool, accounts, reads_arrived, clock, .. } = self;
        AnalyticsWorker { pipeline, spool, accounts, arrived: reads_arrived, clock }.run(stop).await;
    }

    /// Delivers until `stop` turns true, then finishes the batch under way.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let mut wait = FIRST_WAIT;
        while !*stop.borrow() {
            let settled = match self.round().await {
                Ok(Round::Idle) => {
                    tokio::select! {
                        () = self.arrived.notified() => {}
                        _ = stop.changed() => return,
                    }
                    sleep(LINGER).await;
                    continue;
                }
                Ok(Round::Settled) => true,
                Ok(Round::Pending(why)) => {
                    tracing::warn!(why, "downloads stay pending");
                    false
                }
                Err(error) => {
                    tracing::error!(%error, "the spool cannot be read");
                    false
                }
            };
            if settled {
                wait = FIRST_WAIT;
                continue;
            }
            tokio::select! {
                () = sleep(wait) => {}
                _ = stop.changed() => return,
            }
            wait = (wait * 2).min(LAST_WAIT);
        }
    }

    /// Takes one batch from the spool as far as it goes.
    async fn round(&self) -> Result<Round, SpoolError> {
        let entries = self.spool.downloads(0, self.pipeline.batch_max_records()).await?;
        if entries.is_empty() || !self.pipeline.delivers() {
            return Ok(Round::Idle);
        }
        let (mut seqs, mut downloads) = (Vec::new(), Vec::new());
        for (seq, entry) in entries {
            match entry {
                Ok(download) => {
                    seqs.push(seq);
                    downloads.push(download);
                }
                Err(body) => self.unreadable(seq, &body).await?,
            }
        }
        let Some(report) = self.pipeline.deliver(&downloads, Instant::now() + CALL).await else {
            return Ok(Round::Idle);
        };
        let settled = |outcome: &Outcome| *outcome != Outcome::Pending;
        let done: Vec<i64> =
            seqs.iter().zip(&report.outcomes).filter(|(_, outcome)| settled(outcome)).map(|(&seq, _)| seq).collect();
        self.spool.remove(Sink::Metering, &done).await?;
        self.accounts.correct(|tally| settle::settle(tally, &report.outcomes));
        let mut tally = Tally::default();
        settle::count(&mut tally, &report);
        logging::run_finished(&tally, &self.clock);
        if report.outcomes.iter().all(settled) {
            return Ok(Round::Settled);
        }
        Ok(Round::Pending(report.trouble.unwrap_or_else(|| "not delivered yet".to_owned())))
    }

    /// An entry that no version of ours wrote: kept in quarantine, so that it does not stop those behind it.
    async fn unreadable(&self, seq: i64, body: &[u8]) -> Result<(), SpoolError> {
        let record = Quarantined {
            reason: QuarantineReason::Malformed,
            detail: "an entry of the spool that is no download".to_owned(),
            number: seq.unsigned_abs(),
            id: None,
            record: crate::redact::record(body),
        };
        if let Err(error) = self.pipeline.quarantine("spool", vec![record]).await {
            tracing::error!(%error, "an unreadable entry stays in the spool");
            return Ok(());
        }
        self.spool.remove(Sink::Metering, &[seq]).await?;
        self.accounts.correct(|tally| {
            tally.downloads = tally.downloads.saturating_sub(1);
            let deliveries = tally.deliveries.get_or_insert_default();
            deliveries.pending = deliveries.pending.saturating_sub(1);
            *tally.quarantined.entry(QuarantineReason::Malformed).or_default() += 1;
        });
        Ok(())
    }
}

/// What one batch came to.
enum Round {
    /// There was none.
    Idle,
    /// All of it is done.
    Settled,
    /// Some of it is not, and why.
    Pending(String),
}
