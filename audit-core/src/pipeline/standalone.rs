//! The standalone receiver's other half: from the spool to the resource server, at its own pace.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use super::{Pipeline, settle};
use crate::clock::Clock;
use crate::delivery::{Outcome, Seen};
use crate::logging;
use crate::policy::QuarantineReason;
use crate::quarantine::Quarantined;
use crate::record::Download;
use crate::spool::{Item, Sink, Spool, SpoolError, Stats};
use crate::tally::{Accounts, Deliveries, Tally};

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
            tally.deliveries = Some(Deliveries { pending: left, ..Deliveries::default() });
        }
        accounts.add(tally);
        Self { pipeline, spool, accounts, arrived: Notify::new(), clock }
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

    /// Appends downloads durably; those that are waiting or dealt with already are duplicates.
    ///
    /// They are in the accounts before they are in the spool: the worker may have delivered them before `append` is back.
    pub(super) async fn append(&self, downloads: &[Download]) -> Result<Tally, SpoolError> {
        let count = downloads.len() as u64;
        let mut tally = Tally { records: count, downloads: count, ..Tally::default() };
        if !self.pipeline.delivers() || count == 0 {
            self.accounts.add(tally.clone());
            return Ok(tally);
        }
        tally.deliveries = Some(Deliveries { pending: count, ..Deliveries::default() });
        let items: Result<Vec<_>, _> = downloads.iter().map(Item::metering).collect();
        let items = items.map_err(|error| SpoolError::Failed(error.to_string()))?;
        self.accounts.add(tally.clone());
        match self.spool.append(items).await {
            Ok(new) => {
                let duplicates = |tally: &mut Tally| settle::settle_many(tally, Outcome::Duplicate, count - new);
                self.accounts.correct(duplicates);
                duplicates(&mut tally);
                self.arrived.notify_one();
                Ok(tally)
            }
            Err(error) => {
                self.accounts.correct(|tally| settle::forget(tally, count));
                Err(error)
            }
        }
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
