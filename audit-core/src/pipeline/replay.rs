//! Deliveries that a person asks for: held batches, and records out of quarantine.

use std::time::Duration;

use tokio::time::Instant;

use super::{Pipeline, settle};
use crate::delivery::{Outcome, Report};
use crate::ledger::Ledger;
use crate::record::Download;
use crate::tally::Tally;

/// How long one call may try.
const CALL: Duration = Duration::from_mins(2);

impl Pipeline {
    /// The ledger; `None` without a metering sink.
    #[must_use]
    pub fn ledger(&self) -> Option<&Ledger> {
        self.delivery.as_ref().map(crate::delivery::Delivery::ledger)
    }

    /// Delivers downloads, each once by the ledger, and counts them in `tally`; `None` without a metering sink.
    pub async fn replay(&self, downloads: &[Download], tally: &mut Tally) -> Option<Report> {
        let mut all = Report { outcomes: Vec::new(), last_status: None, trouble: None, resent: 0 };
        for part in downloads.chunks(self.batch_max_records) {
            let report = self.deliver(part, Instant::now() + CALL).await?;
            settle::count(tally, &report);
            all.outcomes.extend(report.outcomes);
            all.last_status = report.last_status.or(all.last_status);
            all.trouble = report.trouble.or(all.trouble);
            all.resent += report.resent;
            if all.outcomes.contains(&Outcome::Pending) {
                break;
            }
        }
        let left = downloads.len() - all.outcomes.len();
        let untried = Report { outcomes: vec![Outcome::Pending; left], ..all.clone() };
        settle::count(tally, &untried);
        all.outcomes.extend(untried.outcomes);
        Some(all)
    }
}
