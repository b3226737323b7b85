//! What is too late for an event. The ledger is not asked: a backfill of years costs it nothing.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::{AnalyticsOutcome, Part, PlausibleSink, set};
use crate::analytics::Visit;
use crate::record::Key;

/// The parts of one download.
struct Whole<'r> {
    first: Timestamp,
    parts: Vec<Part<'r>>,
    late: bool,
}

impl PlausibleSink {
    pub(super) fn is_late(&self, visit: &Visit<'_>, now: Timestamp) -> bool {
        SignedDuration::try_from(self.policy.config.max_age).is_ok_and(|max_age| now.duration_since(visit.at) > max_age)
    }

    /// Leaves the downloads that have a part in time, whole. Of each that is too late, its first part says so.
    pub(super) fn take_late<'r>(
        &self,
        parts: Vec<Part<'r>>,
        now: Timestamp,
        outcomes: &mut [AnalyticsOutcome],
    ) -> Vec<Part<'r>> {
        if !parts.iter().any(|part| self.is_late(&part.visit, now)) {
            return parts;
        }
        let (late, open): (Vec<_>, Vec<_>) = self.downloads(parts, now).into_iter().partition(|download| download.late);
        for Whole { parts, .. } in late {
            for (place, part) in parts.into_iter().enumerate() {
                let outcome = if place == 0 { AnalyticsOutcome::TooLate } else { AnalyticsOutcome::Duplicate };
                set(outcomes, part.index, outcome);
            }
        }
        open.into_iter().flat_map(|download| download.parts).collect()
    }

    /// The parts by download, each window by itself, as they are claimed later.
    fn downloads<'r>(&self, mut parts: Vec<Part<'r>>, now: Timestamp) -> Vec<Whole<'r>> {
        parts.sort_by_key(|part| part.visit.at);
        let mut downloads: Vec<Whole<'r>> = Vec::new();
        let mut begun: HashMap<Key, usize> = HashMap::new();
        for part in parts {
            let late = self.is_late(&part.visit, now);
            let next = downloads.len();
            let place = begun.entry(part.visit.download()).or_insert(next);
            if let Some(own) = downloads.get_mut(*place).filter(|own| self.window.joins(own.first, part.visit.at)) {
                own.late &= late;
                own.parts.push(part);
            } else {
                *place = next;
                downloads.push(Whole { first: part.visit.at, parts: vec![part], late });
            }
        }
        downloads
    }
}
