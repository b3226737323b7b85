//! What a delivery came to, in the tally's terms.

use crate::delivery::{Outcome, Report};
use crate::policy::QuarantineReason;
use crate::tally::Tally;

/// Counts records that were given to the delivery just now.
pub(super) fn count(tally: &mut Tally, report: &Report) {
    tally.records += report.outcomes.len() as u64;
    tally.downloads += report.outcomes.len() as u64;
    tally.deliveries.get_or_insert_default().pending += report.outcomes.len() as u64;
    settle(tally, &report.outcomes);
}

/// Corrects a tally that has the downloads of these outcomes as pending.
pub(super) fn settle(tally: &mut Tally, outcomes: &[Outcome]) {
    for outcome in outcomes {
        settle_many(tally, *outcome, 1);
    }
}

/// Corrects a tally that has `count` downloads as pending which all ended in `outcome`.
pub(super) fn settle_many(tally: &mut Tally, outcome: Outcome, count: u64) {
    let deliveries = tally.deliveries.get_or_insert_default();
    let ended = match outcome {
        Outcome::Pending => return,
        Outcome::Delivered => &mut deliveries.delivered,
        Outcome::Held => &mut deliveries.held,
        Outcome::Duplicate => &mut tally.duplicates,
        Outcome::Rejected => tally.quarantined.entry(QuarantineReason::Rejected).or_default(),
    };
    *ended += count;
    deliveries.pending -= count;
    if matches!(outcome, Outcome::Duplicate | Outcome::Rejected) {
        tally.downloads -= count;
    }
}

/// Takes `count` pending downloads out of a tally: they were not taken after all.
#[cfg(feature = "spool")]
pub(super) fn forget(tally: &mut Tally, count: u64) {
    tally.records -= count;
    tally.downloads -= count;
    tally.deliveries.get_or_insert_default().pending -= count;
}

/// Whether something must be given to the delivery again.
pub(super) fn any_pending(report: &Report) -> bool {
    report.outcomes.contains(&Outcome::Pending)
}
