//! The accounting of a run: every record ends in one of these numbers, and they add up.
//!
//! `records = downloads + skipped + duplicates + quarantined` and `downloads = delivered + pending + held`.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::policy::{QuarantineReason, SkipReason};

/// What became of the objects (log files) that were asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Objects {
    /// Read to their end and found good.
    pub read: u64,
    /// No logs in them: digests, Insights, folders, empty objects, probes.
    pub skipped: u64,
    /// Could not be read to their end; none of their records count.
    pub failed: u64,
}

/// What became of the downloads that were to be delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Deliveries {
    /// The resource server has confirmed them.
    pub delivered: u64,
    /// Not delivered yet; will be tried again.
    pub pending: u64,
    /// Sent, outcome unknown; kept for a person to settle.
    pub held: u64,
}

/// What became of the analytics events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Analytics {
    /// Successful reads of an object's body that were looked at; each ends in exactly one of the numbers below.
    pub events: u64,
    /// Taken by Plausible.
    pub recorded: u64,
    /// Answered as taken, but dropped by Plausible.
    pub dropped: u64,
    /// Refused by Plausible.
    pub rejected: u64,
    /// Sent, outcome unknown.
    pub ambiguous: u64,
    /// Too old to be shown at the right time, or nobody would have tried them again before they were; not sent.
    pub too_late: u64,
    /// Left out by the operator's settings.
    pub excluded: u64,
    /// Parts of a download that is an event already.
    pub duplicates: u64,
    /// Not sent yet; will be tried again.
    pub pending: u64,
}

impl Analytics {
    /// Whether every read is accounted for.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let Self { events, recorded, dropped, rejected, ambiguous, too_late, excluded, duplicates, pending } = *self;
        events == recorded + dropped + rejected + ambiguous + too_late + excluded + duplicates + pending
    }
}

/// The accounting of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Log files.
    pub objects: Objects,
    /// Records read, of objects that were good to their end.
    pub records: u64,
    /// Downloads that are no duplicates and were not refused.
    pub downloads: u64,
    /// Records with nothing to bill, by reason.
    pub skipped: BTreeMap<SkipReason, u64>,
    /// Downloads that were delivered or held before.
    pub duplicates: u64,
    /// Records kept for a person to look at, by reason.
    pub quarantined: BTreeMap<QuarantineReason, u64>,
    /// Absent where there is no metering sink.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub deliveries: Option<Deliveries>,
    /// The analytics sink's own numbers; the equation is metering's.
    pub analytics: Analytics,
}

impl Tally {
    /// Counts a skipped record.
    pub fn skip(&mut self, reason: SkipReason, records: u64) {
        if records > 0 {
            self.records += records;
            *self.skipped.entry(reason).or_default() += records;
        }
    }

    /// Counts a quarantined record.
    pub fn quarantine(&mut self, reason: QuarantineReason) {
        self.records += 1;
        *self.quarantined.entry(reason).or_default() += 1;
    }

    /// Whether every record is accounted for.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let skipped: u64 = self.skipped.values().sum();
        let quarantined: u64 = self.quarantined.values().sum();
        let deliveries = self.deliveries.map(|own| own.delivered + own.pending + own.held);
        self.records == self.downloads + skipped + self.duplicates + quarantined
            && deliveries.is_none_or(|deliveries| deliveries == self.downloads)
            && self.analytics.adds_up()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.objects.read += other.objects.read;
        self.objects.skipped += other.objects.skipped;
        self.objects.failed += other.objects.failed;
        self.records += other.records;
        self.downloads += other.downloads;
        for (reason, count) in other.skipped {
            *self.skipped.entry(reason).or_default() += count;
        }
        self.duplicates += other.duplicates;
        for (reason, count) in other.quarantined {
            *self.quarantined.entry(reason).or_default() += count;
        }
        if let Some(theirs) = other.deliveries {
            let own = self.deliveries.get_or_insert_default();
            own.delivered += theirs.delivered;
            own.pending += theirs.pending;
            own.held += theirs.held;
        }
        let (own, theirs) = (&mut self.analytics, other.analytics);
        own.events += theirs.events;
        own.recorded += theirs.recorded;
        own.dropped += theirs.dropped;
        own.rejected += theirs.rejected;
        own.ambiguous += theirs.ambiguous;
        own.too_late += theirs.too_late;
        own.excluded += theirs.excluded;
        own.duplicates += theirs.duplicates;
        own.pending += theirs.pending;
    }
}

/// The tally of a process since its start, which many requests and workers write to.
#[derive(Debug, Default)]
pub struct Accounts(Mutex<Tally>);

impl Accounts {
    /// Adds what a request or a run came to.
    pub fn add(&self, tally: Tally) {
        *self.lock() += tally;
    }

    /// Corrects the accounts where the end of something pending is known.
    pub fn correct(&self, correction: impl FnOnce(&mut Tally)) {
        correction(&mut self.lock());
    }

    /// The accounts as they stand.
    #[must_use]
    pub fn now(&self) -> Tally {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        // Numbers are written one after another, but a panic between two of them would show in `adds_up`.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_the_interface_has_it() {
        let mut tally = Tally { records: 4, downloads: 4, ..Tally::default() };
        tally.objects.read = 1;
        tally.skip(SkipReason::NotPresignedGet, 2);
        tally.quarantine(QuarantineReason::InvalidBytes);
        tally.quarantine(QuarantineReason::InvalidBytes);
        tally.records += 1;
        tally.duplicates = 1;
        tally.deliveries = Some(Deliveries { delivered: 3, pending: 1, held: 0 });
        assert!(tally.adds_up());
        let expected = concat!(
            r#"{"objects":{"read":1,"skipped":0,"failed":0},"records":9,"downloads":4,"skipped":{"not_presigned_get":2},"duplicates":1,"#,
            r#""quarantined":{"invalid_bytes":2},"delivered":3,"pending":1,"held":0,"#,
            r#""analytics":{"events":0,"recorded":0,"dropped":0,"rejected":0,"ambiguous":0,"too_late":0,"excluded":0,"duplicates":0,"pending":0}}"#
        );
        assert_eq!(serde_json::to_string(&tally).unwrap(), expected);
    }

    #[test]
    fn a_lost_record_shows() {
        let analytics = Analytics { events: 1, ..Analytics::default() };
        assert!(!Tally { analytics, ..Tally::default() }.adds_up());
        let tally = Tally { records: 1, ..Tally::default() };
        assert!(!tally.adds_up());
    }
}
