//! The reads of one invocation on their way to the dashboard, when its metering is done.
//!
//! An invocation waits for Plausible as little as it can: when it does not answer, the rest is left at once; dropped events are
//! gathered, and tried once more together half a minute later.

use std::collections::BTreeMap;

use tokio::time::{Instant, sleep_until};

use super::cloudtrail::Run;
use super::dashboard::{self, Dashboard};
use crate::analytics::Read;
use crate::sink::plausible::{AnalyticsOutcome, DROPPED_PAUSE};
use crate::tally::Analytics;

/// Reads in memory at a time.
pub(super) const READS: usize = 500;
/// The most dropped events that are kept for their second try.
const MOST_DROPPED: usize = 5000;
/// From this receipt on, a message is no longer failed for its reads alone, so that no metered file becomes a dead letter: queues allow two
/// receipts or more.
const LAST_RECEIPT: u64 = 2;

/// A read, and the number of its message.
pub(super) type Sent = (usize, Read);

/// What an invocation does with its reads.
pub(super) struct Errand<'d> {
    dashboard: &'d Dashboard,
    until: Instant,
    analytics: Analytics,
    dropped: Vec<Sent>,
    dropped_at: Instant,
    given_up: bool,
    /// How many reads of each message are not settled.
    open: BTreeMap<usize, u64>,
}

impl<'d> Errand<'d> {
    pub(super) fn new(dashboard: &'d Dashboard, until: Instant) -> Self {
        Self {
            dashboard,
            until,
            analytics: Analytics::default(),
            dropped: Vec::new(),
            dropped_at: Instant::now(),
            given_up: false,
            open: BTreeMap::new(),
        }
    }

    /// Sends reads as far as that goes now.
    pub(super) async fn send(&mut self, mut reads: Vec<Sent>) {
        self.analytics.events += reads.len() as u64;
        self.analytics.pending += reads.len() as u64;
        while !reads.is_empty() {
            let before = reads.len();
            reads = self.try_once(reads).await;
            // A claim that is under way elsewhere, or a ledger that does not answer: its message comes again.
            if self.given_up || reads.len() == before {
                break;
            }
        }
        for (message, _) in reads {
            *self.open.entry(message).or_default() += 1;
        }
    }

    /// Counts reads of the bridge itself, which are no downloads of anybody.
    pub(super) fn exclude(&mut self, reads: u64) {
        self.analytics.events += reads;
        self.analytics.excluded += reads;
    }

    /// Counts reads that can no longer be sent.
    pub(super) fn lose(&mut self, reads: u64) {
        self.analytics.events += reads;
        self.analytics.too_late += reads;
    }

    /// Tries the dropped ones again, and tells the numbers, and how many reads of which message are open.
    pub(super) async fn finish(mut self) -> (Analytics, BTreeMap<usize, u64>) {
        let at = self.dropped_at + DROPPED_PAUSE;
        let mut rest = std::mem::take(&mut self.dropped);
        if !rest.is_empty() && !self.given_up && at < self.until {
            sleep_until(at).await;
            rest = self.try_once(rest).await;
            rest.append(&mut self.dropped);
        }
        for (message, _) in rest {
            *self.open.entry(message).or_default() += 1;
        }
        (self.analytics, self.open)
    }

    /// Hands reads over; what is neither settled nor kept as dropped comes back.
    async fn try_once(&mut self, reads: Vec<Sent>) -> Vec<Sent> {
        let (messages, reads): (Vec<usize>, Vec<Read>) = reads.into_iter().unzip();
        let outcomes = if self.given_up {
            self.dashboard.look_over(&reads)
        } else {
            self.dashboard.send(&reads, self.until).await
        };
        // That it did not answer an earlier invocation is no reason, as long as nothing of this one was left for it.
        let left = outcomes.contains(&AnalyticsOutcome::Pending);
        self.given_up |= (left && self.dashboard.is_down()) || Instant::now() >= self.until;
        dashboard::settle(&mut self.analytics, &outcomes);
        let mut back = Vec::new();
        for ((message, read), outcome) in messages.into_iter().zip(reads).zip(outcomes) {
            match outcome {
                AnalyticsOutcome::DroppedOnce if self.dropped.len() < MOST_DROPPED => {
                    self.dropped.push((message, read));
                    self.dropped_at = Instant::now();
                }
                AnalyticsOutcome::DroppedOnce | AnalyticsOutcome::Pending => back.push((message, read)),
                AnalyticsOutcome::Recorded
                | AnalyticsOutcome::Dropped
                | AnalyticsOutcome::Rejected(_)
                | AnalyticsOutcome::Ambiguous
                | AnalyticsOutcome::TooLate
                | AnalyticsOutcome::Excluded
                | AnalyticsOutcome::Duplicate => {}
            }
        }
        back
    }
}

/// Enters what became of the reads into `run`; `messages` are their ids, and how often each was received. A message of SQS comes again for its
/// reads once at most; after that, nobody would send what is open, and it counts as too late.
pub(super) fn account(
    run: &mut Run,
    (mut analytics, open): (Analytics, BTreeMap<usize, u64>),
    messages: &[(Option<String>, u64)],
) {
    let pending: u64 = open.values().sum();
    for (message, reads) in open {
        let Some((Some(id), receipts)) = messages.get(message) else { continue };
        if run.failed_messages.contains(id) {
            continue;
        }
        if *receipts < LAST_RECEIPT {
            run.failed_messages.push(id.clone());
        } else {
            analytics.pending = analytics.pending.saturating_sub(reads);
            analytics.too_late += reads;
        }
    }
    if pending > 0 {
        tracing::warn!(reads = pending, "analytics events were not sent; no download is concerned");
    }
    run.tally.analytics = analytics;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounted(from_sqs: bool, receipts: u64) -> Run {
        let mut run = Run { from_sqs, failed_messages: vec!["metering".to_owned()], ..Run::default() };
        let analytics = Analytics { events: 5, pending: 5, ..Analytics::default() };
        let id = |name: &str| from_sqs.then(|| name.to_owned());
        let messages = [(id("metering"), receipts), (id("fine"), receipts), (id("open"), receipts)];
        account(&mut run, (analytics, BTreeMap::from([(0, 2), (2, 3)])), &messages);
        assert!(run.tally.analytics.adds_up());
        run
    }

    #[test]
    fn a_message_comes_again_for_its_reads_but_never_dies_of_them() {
        let first = accounted(true, 1);
        assert_eq!((first.failed_messages, first.tally.analytics.pending), (vec!["metering".into(), "open".into()], 5));
        let last = accounted(true, LAST_RECEIPT);
        assert_eq!(last.failed_messages, ["metering"]);
        assert_eq!((last.tally.analytics.pending, last.tally.analytics.too_late), (2, 3));
    }

    #[test]
    fn a_direct_invocation_never_fails_for_its_reads() {
        let run = accounted(false, 0);
        assert_eq!((run.troubles.len(), run.unnamed_failure, run.tally.analytics.pending), (0, false, 5));
    }
}
