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
/// Waits while Plausible or the ledger does not answer: doubled from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LAST_WAIT: Duration = Duration::from_secs(30);

/// Entries that were handed over and are not settled, to be handed over again.
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
    later: VecDeque<Later>,
}

impl AnalyticsWorker<'_> {
    /// Sends until `stop` turns true. Without an analytics sink, entries wait for a process that has one.
    pub(super) async fn run(&self, mut stop: watch::Receiver<bool>) {
        let Some(dashboard) = self.pipeline.dashboard() else { return };
        let mut progress = Progress::default();
        let mut wait = FIRST_WAIT;
        while !*stop.borrow() {
            let pause = match self.round(dashboard, &mut progress).await {
                Ok(Round::Idle) => {
                    tokio::select! {
                        () = self.arrived.notified() => sleep(LINGER).await,
                        () = next(&progress.later) => {}
                        _ = stop.changed() => return,
                    }
                    continue;
                }
                Ok(Round::Answered) => {
                    wait = FIRST_WAIT;
                    continue;
                }
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

    /// Hands over what is due again, or else what is new.
    async fn round(&self, dashboard: &Dashboard, progress: &mut Progress) -> Result<Round, SpoolError> {
        let due = progress.later.pop_front_if(|later| later.at <= Instant::now());
        let (after, to) = due.as_ref().map_or((progress.cursor, i64::MAX), |due| (due.after, due.to));
        let mut entries = match self.spool.read(Sink::Analytics, after, READS).await {
            Ok(entries) => entries,
            Err(error) => {
                if let Some(due) = due {
                    progress.later.push_front(due);
                }
                return Err(error);
            }
        };
        entries.retain(|(seq, _)| *seq <= to);
        let Some(&(last, _)) = entries.last() else {
            return Ok(if due.is_some() { Round::Answered } else { Round::Idle });
        };
        match due {
            Some(due) if entries.len() == READS => progress.later.push_front(Later { after: last, ..due }),
            Some(_) => {}
            None => progress.cursor = last,
        }
        let open = self.hand_over(dashboard, entries).await;
        if open.as_ref().map_or(true, |open| *open != Open::default()) {
            progress.later.push_back(Later { at: Instant::now() + DROPPED_PAUSE, after, to: last });
        }
        let open = open?;
        Ok(if open.unanswered && !open.answered { Round::NoAnswer } else { Round::Answered })
    }

    async fn hand_over(&self, dashboard: &Dashboard, entries: Vec<(i64, Vec<u8>)>) -> Result<Open, SpoolError> {
        let (mut seqs, mut reads, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        for (seq, body) in entries {
            match serde_json::from_slice::<Read>(&body) {
                Ok(read) => {
                    seqs.push(seq);
                    reads.push(read);
                }
                Err(_) => unreadable.push(seq),
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
    /// Go on.
    Answered,
    /// Plausible or the ledger did not answer.
    NoAnswer,
}

async fn next(later: &VecDeque<Later>) {
    match later.front() {
        Some(first) => sleep_until(first.at).await,
        None => std::future::pending().await,
    }
}
