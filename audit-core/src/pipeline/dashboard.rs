//! The analytics side: reads to Plausible, beside metering and never in its way.

use std::sync::Arc;

use serde::Serialize;
use tokio::time::Instant;

use super::Stores;
use crate::analytics::{AnalyticsPolicy, Read};
use crate::client::{Client, Connections, Trust};
use crate::clock::Clock;
use crate::config::AnalyticsConfig;
use crate::ledger::{Ledger, Owner};
use crate::policy::QuarantineReason;
use crate::quarantine::Quarantined;
use crate::sink::plausible::{AnalyticsOutcome, PlausibleSink};
use crate::tally::Analytics;

/// Where reads go.
#[derive(Debug)]
pub(crate) struct Dashboard {
    sink: PlausibleSink,
    ledger: Arc<Ledger>,
    stores: Stores,
    clock: Clock,
}

impl Dashboard {
    /// A dashboard that remembers in `ledger`, which is its own, and claims there under the name `owner` if there is one.
    ///
    /// # Errors
    /// What is wrong with the configuration or the machine, in words.
    pub(super) fn new(
        config: AnalyticsConfig,
        ledger: Ledger,
        stores: Stores,
        clock: Clock,
        trust: Trust,
        owner: Option<Owner>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let policy = AnalyticsPolicy::new(config)?;
        let client = Client::new(Connections::Fresh, trust)?;
        let ledger = Arc::new(ledger);
        let sink = PlausibleSink::new(policy, Arc::clone(&ledger), client, clock.clone())?.under(owner);
        Ok(Self { sink, ledger, stores, clock })
    }

    /// Sends what is new among `reads`, and tells what became of each; what Plausible refuses goes to quarantine.
    pub(super) async fn send(&self, reads: &[Read], until: Instant) -> Vec<AnalyticsOutcome> {
        let outcomes = self.sink.send_now(reads, until).await;
        self.quarantine(reads, &outcomes).await;
        outcomes
    }

    /// What can be told of `reads` without asking anybody; all others are pending.
    pub(super) fn look_over(&self, reads: &[Read]) -> Vec<AnalyticsOutcome> {
        self.sink.look_over(reads)
    }

    /// Begins no more events.
    #[cfg(feature = "spool")]
    pub(super) fn end(&self) {
        self.sink.end();
    }

    /// Whether Plausible did not answer the last event.
    pub(super) fn is_down(&self) -> bool {
        self.sink.is_down()
    }

    /// What remembers the events.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    async fn quarantine(&self, reads: &[Read], outcomes: &[AnalyticsOutcome]) {
        let mut rejected = Vec::new();
        for (number, (read, outcome)) in (1..).zip(reads.iter().zip(outcomes)) {
            if let AnalyticsOutcome::Rejected(words) = outcome {
                rejected.push(Quarantined {
                    reason: QuarantineReason::Rejected,
                    detail: format!("plausible: {words}"),
                    number,
                    id: read.identity.clone(),
                    record: Refused::record(read),
                });
            }
        }
        if rejected.is_empty() {
            return;
        }
        // Nothing is billed by it, and the event is settled: that it was refused is in the tally all the same.
        if let Err(error) = self.stores.quarantine("plausible", rejected, self.clock.now()).await {
            tracing::error!(%error, "events that Plausible refused are in no quarantine file");
        }
    }
}

/// A read as it may be kept for a person to look at: nothing of who read.
#[derive(Serialize)]
struct Refused<'r> {
    backend: &'static str,
    bucket: &'r str,
    key: &'r str,
    time: Option<&'r str>,
    bytes: Option<u64>,
}

impl Refused<'_> {
    fn record(read: &Read) -> String {
        let Read { bucket, key, time, bytes, backend, .. } = read;
        let own = Refused { backend: backend.name(), bucket, key, time: time.as_deref(), bytes: *bytes };
        serde_json::to_string(&own).unwrap_or_else(|_| "null".to_owned())
    }
}

/// Counts reads that were handed to the sink just now.
pub(super) fn count(analytics: &mut Analytics, outcomes: &[AnalyticsOutcome]) {
    analytics.events += outcomes.len() as u64;
    analytics.pending += outcomes.len() as u64;
    settle(analytics, outcomes);
}

/// Corrects numbers that have the reads of these outcomes as pending.
pub(super) fn settle(analytics: &mut Analytics, outcomes: &[AnalyticsOutcome]) {
    for outcome in outcomes {
        let counter = match outcome {
            AnalyticsOutcome::Recorded => &mut analytics.recorded,
            AnalyticsOutcome::Dropped => &mut analytics.dropped,
            AnalyticsOutcome::Rejected(_) => &mut analytics.rejected,
            AnalyticsOutcome::Ambiguous => &mut analytics.ambiguous,
            AnalyticsOutcome::TooLate => &mut analytics.too_late,
            AnalyticsOutcome::Excluded => &mut analytics.excluded,
            AnalyticsOutcome::Duplicate => &mut analytics.duplicates,
            AnalyticsOutcome::Pending | AnalyticsOutcome::DroppedOnce => continue,
        };
        *counter += 1;
        analytics.pending = analytics.pending.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_read_ends_in_one_number() {
        use AnalyticsOutcome as O;
        let mut analytics = Analytics::default();
        let outcomes = [
            O::Recorded,
            O::Dropped,
            O::Rejected("why".into()),
            O::Ambiguous,
            O::TooLate,
            O::Excluded,
            O::Duplicate,
            O::Pending,
            O::DroppedOnce,
        ];
        count(&mut analytics, &outcomes);
        assert!(analytics.adds_up());
        assert_eq!((analytics.events, analytics.pending, analytics.recorded), (9, 2, 1));
        settle(&mut analytics, &[O::Recorded, O::Dropped]);
        assert!(analytics.adds_up());
        assert_eq!((analytics.pending, analytics.recorded, analytics.dropped), (0, 2, 2));
    }

    #[test]
    fn what_is_kept_of_a_refused_event_names_nobody() {
        let record = Refused::record(&crate::analytics::samples::read());
        assert_eq!(
            record,
            r#"{"backend":"minio","bucket":"data","key":"v0.1/spatial/parquet/italy.parquet","time":"2026-03-01T12:00:00Z","bytes":8388608}"#
        );
    }
}
