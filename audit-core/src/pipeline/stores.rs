//! The places for what cannot be delivered, as the delivery engine asks for them.

use jiff::Timestamp;

use crate::delivery::{HeldBatch, Keep, KeepError};
use crate::quarantine::{QuarantineEntry, Quarantined};
use crate::store::{self, HeldLine, Store, StoreError};

/// `QUARANTINE` and `HELD`.
#[derive(Debug, Clone)]
pub(super) struct Stores {
    pub(super) quarantine: Store,
    pub(super) held: Store,
}

impl Stores {
    pub(super) async fn quarantine(
        &self,
        origin: &str,
        records: Vec<Quarantined>,
        seen_at: Timestamp,
    ) -> Result<(), StoreError> {
        let entry = |record: Quarantined| record.entry(origin, seen_at);
        let entries: Result<Vec<_>, _> = records.into_iter().map(entry).collect();
        let entries = entries.map_err(|error| StoreError {
            place: "quarantine".to_owned(),
            action: "write a record",
            reason: error.to_string(),
        })?;
        self.quarantine.quarantine(&entries).await
    }
}

impl Keep for Stores {
    async fn quarantine(&self, entries: Vec<QuarantineEntry>) -> Result<(), KeepError> {
        self.quarantine.quarantine(&entries).await.map_err(|error| KeepError(error.to_string()))
    }

    async fn hold(&self, batch: HeldBatch) -> Result<(), KeepError> {
        let lines: Vec<_> = batch.downloads.iter().map(HeldLine::from).collect();
        let HeldBatch { batch, happened, at, downloads: _ } = batch;
        let (records, why) = (lines.len(), happened.clone());
        let held = store::HeldBatch { batch, held_at: at, what: happened, lines };
        self.held.put_held(held).await.map_err(|error| KeepError(error.to_string()))?;
        // Nothing fails by it, and yet somebody must settle it.
        tracing::warn!(batch = %batch.0, records, why, "held: sent, but nobody knows whether it was inserted");
        Ok(())
    }
}
