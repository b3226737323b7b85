//! From the spool to Plausible, at a pace of its own: beside the worker that delivers downloads, and of no concern to it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::Pipeline;
use super::dashboard::{self, Dashboard};
use crate::analytics::Read;
use crate::clock::Clock;
use crate::logging;
use crate::sink::plausible::{AnalyticsOutcome, DROPPED_PAUSE};
use crate::spool::{Sink, Spool, SpoolError};
use crate::tally::{Accounts, Tally};

/// Reads handed over at a time: few, so that a stop need not wait long.
const READS: usize = 200;
/// How long one hand-over may try.
const CALL: Duration = Duration::from_mins(1);
/// Reads that arrive within this of the first go with it: parts of one download, an audit entry and its notification.
const LINGER: Duration = Duration::from_millis(200);
/// How long a read without its bytes waits for the record that has them: `MinIO`'s audit entry, which comes up to a second or so after the
/// notification where `batch_size` is more than 1. The first of both to be handed over is the event.
const TWIN_WAIT: Duration = Duration::from_secs(3);
/// Waits while Plausible or the ledger does not answer: doubled from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LAST_WAIT: Duration = Duration::from_secs(30);

/// Entries that are still there after a hand-over, to be handed over later.
struct Later {
    at: Instant,
    /// After this sequence number, up to the other.
    after: i64,
    to: i64,
}

/// The worker: one runs.
pub(super) struct AnalyticsWorker<'s> {
    pub(super) pipeline: &'s Arc<Pipeline>,
    pub(super) spool: &'s Spool,
    pub(super) accounts: &'s Accounts,
    pub(super) arrived: &'s Notify,
    pub(super) clock: &'s Clock,
}

/// How far the worker has come.
#[derive(Default)]
struct Progress {
    /// All up to this sequence number were handed over at least once.
    cursor: i64,
    /// In which some were not settled, by time.
    later: VecDeque<Later>,
    /// In which only some without bytes were left, by time. Nothing is in both.
    waiting: VecDeque<Later>,
}

/// What is handed over at a time: the entries after a sequence number, up to another.
struct Batch {
    after: i64,
    to: i64,
    entries: Vec<(i64, Vec<u8>)>,
    /// Never handed over before.
    new: bool,
}

impl AnalyticsWorker<'_> {
    /// Sends until `stop` turns true. Without an analytics sink, entries wait for a process that has one.
    pub(super) async fn run(&self, mut stop: watch::Receiver<bool>) {
        let Some(dashboard) = self.pipeline.dashboard() else { return };
        let mut asked = stop.clone();
        let end = async {
            if asked.wait_for(|stop| *stop).await.is_ok() {
                dashboard.end();
            }
        };
        tokio::join!(self.work(dashboard, &mut stop), end);
    }

    async fn work(&self, dashboard: &Dashboard, stop: &mut watch::Receiver<bool>) {
        let mut progress = Progress::default();
        let mut wait = FIRST_WAIT;
        while !*stop.borrow() {
            let pause = match self.round(dashboard, &mut progress).await {
                Ok(Round::Idle) => {
                    tokio::select! {
                        () = self.arrived.notified() => sleep(LINGER).await,
                        () = next(&progress) => {}
                        _ = stop.changed() => return,
                    }
                    continue;
                }
                Ok(Round::Answered) => {
                    wait = FIRST_WAIT;
                    continue;
                }
                Ok(Round::Held) => continue,
                Ok(Round::NoAnswer) => wait,
                Err(error) => {
                    tracing::error!(%error, "reads for the dashboard cannot be taken from the spool");
                    wait
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                _ = stop.changed() => return,
            }
            wait = (wait * 2).min(LAST_WAIT);
        }
    }

    /// Hands over the next batch, and notes what is left of it.
    async fn round(&self, dashboard: &Dashboard, progress: &mut Progress) -> Result<Round, SpoolError> {
        let Some(Batch { after, to, entries, new }) = self.next_batch(progress).await? else { return Ok(Round::Idle) };
        let (now, held): (Vec<_>, Vec<_>) =
            decoded(entries).into_iter().partition(|(_, read)| !new || !may_have_twin(read.as_ref()));
        if now.is_empty() && !held.is_empty() {
            progress.waiting.push_back(Later { at: Instant::now() + TWIN_WAIT, after, to });
            return Ok(Round::Held);
        }
        let open = self.hand_over(dashboard, now).await;
        if open.as_ref().map_or(true, |open| *open != Open::default()) {
            progress.later.push_back(Later { at: Instant::now() + DROPPED_PAUSE, after, to });
        } else if !held.is_empty() {
            progress.waiting.push_back(Later { at: Instant::now() + TWIN_WAIT, after, to });
        }
        let open = open?;
        Ok(if open.unanswered && !open.answered { Round::NoAnswer } else { Round::Answered })
    }

    /// What is due again, or else what is new, or else what has waited for a twin long enough: the twin may be among the new.
    async fn next_batch(&self, progress: &mut Progress) -> Result<Option<Batch>, SpoolError> {
        if let Some(batch) = self.due(&mut progress.later).await? {
            return Ok(Some(batch));
        }
        let entries = self.spool.read(Sink::Analytics, progress.cursor, READS).await?;
        match entries.last() {
            Some(&(to, _)) => {
                let after = std::mem::replace(&mut progress.cursor, to);
                Ok(Some(Batch { after, to, entries, new: true }))
            }
            None => self.due(&mut progress.waiting).await,
        }
    }

    async fn due(&self, queue: &mut VecDeque<Later>) -> Result<Option<Batch>, SpoolError> {
        let Some(due) = queue.pop_front_if(|later| later.at <= Instant::now()) else { return Ok(None) };
        // There were no more than so many between the two, and none come in between.
        match self.spool.read(Sink::Analytics, due.after, READS).await {
            Ok(mut entries) => {
                entries.retain(|(seq, _)| *seq <= due.to);
                Ok(Some(Batch { after: due.after, to: due.to, entries, new: false }))
            }
            Err(error) => {
                queue.push_front(due);
                Err(error)
            }
        }
    }

    async fn hand_over(&self, dashboard: &Dashboard, entries: Vec<Entry>) -> Result<Open, SpoolError> {
        let (mut seqs, mut reads, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        for (seq, read) in entries {
            match read {
                Some(read) => {
                    seqs.push(seq);
                    reads.push(read);
                }
                None => unreadable.push(seq),
            }
        }
        let outcomes = dashboard.send(&reads, Instant::now() + CALL).await;
        let settled = seqs.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_settled());
        let mut done: Vec<i64> = settled.map(|(&seq, _)| seq).collect();
        if !unreadable.is_empty() {
            tracing::error!(entries = unreadable.len(), "entries of the spool that are no reads are given up");
            done.extend(&unreadable);
        }
        self.spool.remove(Sink::Analytics, &done).await?;
        self.accounts.correct(|tally| {
            dashboard::settle(&mut tally.analytics, &outcomes);
            let unreadable = (unreadable.len() as u64).min(tally.analytics.pending);
            tally.analytics.pending -= unreadable;
            tally.analytics.excluded += unreadable;
        });
        let mut tally = Tally::default();
        dashboard::count(&mut tally.analytics, &outcomes);
        if !done.is_empty() {
            logging::run_finished(&tally, self.clock);
        }
        Ok(Open::of(&outcomes))
    }
}

/// What a hand-over left open.
#[derive(Default, PartialEq, Eq)]
struct Open {
    /// Some were dropped for the first time.
    dropped: bool,
    /// Some got no answer.
    unanswered: bool,
    /// Others did.
    answered: bool,
}

impl Open {
    fn of(outcomes: &[AnalyticsOutcome]) -> Self {
        let any = |kind: fn(&AnalyticsOutcome) -> bool| outcomes.iter().any(kind);
        let own = Self {
            dropped: any(|own| *own == AnalyticsOutcome::DroppedOnce),
            unanswered: any(|own| *own == AnalyticsOutcome::Pending),
            answered: any(|own| {
                matches!(
                    own,
                    AnalyticsOutcome::Recorded
                        | AnalyticsOutcome::Dropped
                        | AnalyticsOutcome::DroppedOnce
                        | AnalyticsOutcome::Rejected(_)
                )
            }),
        };
        if own.dropped || own.unanswered { own } else { Self::default() }
    }
}

enum Round {
    /// Nothing is new or due.
    Idle,
    /// Nothing was handed over: all of it may have a twin on its way.
    Held,
    /// Go on.
    Answered,
    /// Plausible or the ledger did not answer.
    NoAnswer,
}

async fn next(progress: &Progress) {
    let firsts = [progress.later.front(), progress.waiting.front()];
    match firsts.into_iter().flatten().map(|later| later.at).min() {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// An entry with its number; `None`: no read.
type Entry = (i64, Option<Read>);

fn decoded(entries: Vec<(i64, Vec<u8>)>) -> Vec<Entry> {
    entries.into_iter().map(|(seq, body)| (seq, serde_json::from_slice(&body).ok())).collect()
}

/// Whether another record of the same read may tell more of it.
fn may_have_twin(read: Option<&Read>) -> bool {
    read.is_some_and(|read| read.bytes.is_none() && read.identity.is_some())
}
