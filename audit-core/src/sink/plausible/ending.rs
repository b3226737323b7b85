//! An orderly end: once the program is asked to stop, nothing more is begun, so that nothing is cut off with claims held.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// For the ledger, once the end is asked for. A POST under way has its own, somewhat longer time: cut off, it would be in doubt for nothing.
const GRACE: Duration = Duration::from_secs(5);

/// Whether the end was asked for.
#[derive(Debug)]
pub(super) struct Ending(watch::Sender<bool>);

impl Ending {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(super) fn ask(&self) {
        self.0.send_replace(true);
    }

    pub(super) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Sleeps until `at`, or until the end is asked for.
    pub(super) async fn sleep_until(&self, at: Instant) {
        tokio::select! {
            () = sleep_until(at) => {}
            () = self.asked() => {}
        }
    }

    /// What `work` gives, unless `until` comes first, or the end and its grace.
    pub(super) async fn in_time<T>(&self, until: Instant, work: impl Future<Output = T>) -> Option<T> {
        let grace = async {
            self.asked().await;
            sleep(GRACE).await;
        };
        tokio::select! {
            done = timeout_at(until, work) => done.ok(),
            () = grace => None,
        }
    }

    async fn asked(&self) {
        // The sender is our own, so there is always one.
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }
}
