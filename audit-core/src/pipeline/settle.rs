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
    let deliveries = tally.deliveries.get_or_insert_default();
    for outcome in outcomes {
        if *outcome == Outcome::Pending {
            continue;
        }
        deliveries.pending = deliveries.pending.saturating_sub(1);
        match outcome {
            Outcome::Delivered => deliveries.delivered += 1,
            Outcome::Held => deliveries.held += 1,
            Outcome::Duplicate => {
                tally.downloads = tally.downloads.saturating_sub(1);
                tally.duplicates += 1;
            }
            Outcome::Rejected => {
                tally.downloads = tally.downloads.saturating_sub(1);
                *tally.quarantined.entry(QuarantineReason::Rejected).or_default() += 1;
            }
            Outcome::Pending => {}
        }
    }
}

/// Whether something must be given to the delivery again.
pub(super) fn any_pending(report: &Report) -> bool {
    report.outcomes.contains(&Outcome::Pending)
}
