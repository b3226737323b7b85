//! What is written down once an outcome is known, or known to be unknown.

use std::future::Future;
use std::time::Duration;

use tokio::time::sleep;

use super::keep::{HeldBatch, Keep, QuarantineEntry};
use super::part::Part;
use super::run::Run;
use super::{Ambiguous, Outcome, Upstream};
use crate::ledger::{BatchId, LedgerError};

/// Waits between tries to write down what has happened already.
const INSIST: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2)];

impl<U: Upstream, K: Keep> Run<'_, U, K> {
    /// Writes down that a part is inserted.
    ///
    /// Where the ledger cannot be told, the part is still delivered, and that is what its source must hear. The ledger then
    /// has it as sent: should a copy come after the lease, it is held, not billed again.
    pub(super) async fn confirm(&mut self, part: &Part, batch: BatchId) {
        let keys = self.keys_of(&part.members);
        if let Err(error) = insist(|| self.delivery.ledger.confirm(&keys, batch)).await {
            self.trouble(&format!("delivered, but not confirmed in the ledger: {error}"));
        }
        self.mark(&part.members, Outcome::Delivered);
    }

    /// Frees what is known not to be inserted. `None` where the ledger cannot be told: it is pending, comes free with its lease if it was
    /// claimed, and is held if it was sent.
    pub(super) async fn free(&mut self, mut part: Part) -> Option<Part> {
        let Some(owner) = part.owner.take() else { return Some(part) };
        match self.delivery.ledger.release(&self.keys_of(&part.members), owner).await {
            Ok(()) => Some(part),
            Err(error) => {
                self.trouble(&format!("not released: {error}"));
                None
            }
        }
    }

    /// Puts a single record that is refused in quarantine, then frees it. Where it cannot be put there it is freed and pending: it is not
    /// inserted, and will be refused again.
    pub(super) async fn reject(&mut self, part: Part, words: String) {
        let members = part.members.clone();
        let now = self.delivery.clock.now();
        let entries = self.downloads_of(&part).map(|own| QuarantineEntry::rejected(own, words.clone(), now)).collect();
        match self.delivery.keep.quarantine(entries).await {
            Ok(()) => self.mark(&members, Outcome::Rejected),
            Err(error) => self.trouble(&format!("QUARANTINE: cannot be written: {error}")),
        }
        self.free(part).await;
    }

    /// Keeps a batch whose outcome is unknown, then holds it in the ledger. Where it cannot be kept it stays sent, so that it
    /// is found lost when its lease ends, and kept then.
    pub(super) async fn hold(&mut self, members: &[usize], batch: BatchId, happened: &str) -> bool {
        let downloads = members.iter().filter_map(|&member| self.downloads.get(member).cloned()).collect();
        let held = HeldBatch { batch, happened: happened.to_owned(), at: self.delivery.clock.now(), downloads };
        if let Err(error) = self.delivery.keep.hold(held).await {
            self.stop(&format!("HELD: cannot be written: {error}"));
            return false;
        }
        self.mark(members, Outcome::Held);
        let keys = self.keys_of(members);
        if let Err(error) = insist(|| self.delivery.ledger.hold(&keys, batch)).await {
            self.trouble(&format!("kept, but not held in the ledger: {error}"));
            return false;
        }
        true
    }

    /// Deals with what somebody sent who is gone: held, or, where that is wanted, sent again.
    pub(super) async fn lost(&mut self, members: Vec<usize>, batch: BatchId) {
        if self.delivery.settings.ambiguous == Ambiguous::Hold {
            self.hold(&members, batch, "its sender went away before the answer was known").await;
            return;
        }
        let ledger = &self.delivery.ledger;
        let keys = self.keys_of(&members);
        let freed = match ledger.hold(&keys, batch).await {
            Ok(()) => ledger.settle(&keys, batch, false).await,
            failed => failed,
        };
        match freed {
            Ok(()) => {
                self.report.resent += members.len() as u64;
                self.work.push(Part::of(members, None));
            }
            Err(error) => self.trouble(&error.to_string()),
        }
    }
}

async fn insist<F: Future<Output = Result<(), LedgerError>>>(tell: impl Fn() -> F) -> Result<(), LedgerError> {
    for wait in INSIST {
        if tell().await.is_ok() {
            return Ok(());
        }
        sleep(wait).await;
    }
    tell().await
}
