//! Where records go that cannot be delivered, and batches whose outcome nobody knows.

use std::future::Future;

use jiff::Timestamp;

use crate::ledger::BatchId;
use crate::quarantine::QuarantineEntry;
use crate::record::Download;

/// A batch whose outcome is unknown, for a person to settle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBatch {
    /// Its name, also at the resource server.
    pub batch: BatchId,
    /// What became of its request.
    pub happened: String,
    /// When it was put here.
    pub at: Timestamp,
    /// What it holds; of a batch that somebody else sent, maybe a part.
    pub downloads: Vec<Download>,
}

/// The place to keep things cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeepError(pub String);

/// Keeps things durably.
pub trait Keep: Send + Sync {
    /// Keeps `entries`; durable when it returns.
    ///
    /// # Errors
    /// When they are not kept, or nobody knows.
    fn quarantine(&self, entries: Vec<QuarantineEntry>) -> impl Future<Output = Result<(), KeepError>> + Send;

    /// Keeps `batch`; durable when it returns. What is kept under its name already stays and is added to: after a crash several
    /// workers may each find a part of one batch, and one of them a part that is there.
    ///
    /// # Errors
    /// When it is not kept, or nobody knows.
    fn hold(&self, batch: HeldBatch) -> impl Future<Output = Result<(), KeepError>> + Send;
}
