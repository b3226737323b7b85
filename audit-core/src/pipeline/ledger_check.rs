//! Whether the ledger is fit for use: asked at the start, and again where a start need not wait for it.

use std::time::Duration;

use tokio::time::sleep;

use super::Pipeline;
use crate::ledger::{Ledger, LedgerError};

/// Waits between two questions while it is out of reach: doubled from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LAST_WAIT: Duration = Duration::from_secs(30);

/// Asks `ledger`, and tells in the log how it is set up. `false`: it is out of reach, and `may_be_away`.
///
/// # Errors
/// When it refuses, or is out of reach where it must not be.
pub(super) async fn check(ledger: &Ledger, may_be_away: bool) -> Result<bool, LedgerError> {
    match ledger.check().await {
        Ok(weaknesses) => {
            for weakness in weaknesses {
                tracing::warn!(weakness, "ledger");
            }
            Ok(true)
        }
        Err(error) if error.away && may_be_away => {
            tracing::warn!(%error, "started without the ledger: entries are kept, and nothing is sent until it answers");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

impl Pipeline {
    /// Where the ledger was out of reach at the start, asks it until it answers; then the log says what a start would have said of it.
    pub async fn wait_for_ledger(&self) {
        let Some(ledger) = self.any_ledger().filter(|_| !self.ledger_seen) else { return };
        let mut wait = FIRST_WAIT;
        loop {
            sleep(wait).await;
            match check(ledger, false).await {
                Ok(_) => {
                    tracing::info!("the ledger answers");
                    return;
                }
                // Said at the start, and by whoever needs it.
                Err(error) if error.away => {}
                Err(error) => {
                    tracing::error!(%error, "the ledger refuses: nothing is sent until LEDGER_URL or its store is mended");
                }
            }
            wait = (wait * 2).min(LAST_WAIT);
        }
    }
}
