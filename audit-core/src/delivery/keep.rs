//! Where records go that cannot be delivered, and batches whose outcome nobody knows.

use std::future::Future;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::ledger::BatchId;
use crate::policy::QuarantineReason;
use crate::record::{Download, MeteringRecord};

/// A record kept for a person to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineEntry {
    /// Why.
    pub reason: QuarantineReason,
    /// In more words.
    pub detail: String,
    /// `s3://BUCKET/KEY#N` or `request:ID#N`.
    pub source: String,
    /// What makes two records one download.
    pub id: String,
    /// When it was put here.
    pub seen_at: Timestamp,
    /// The record, without credentials.
    pub record: Value,
}

impl QuarantineEntry {
    /// The entry of a download that the resource server refuses, in its words.
    #[must_use]
    pub fn rejected(download: &Download, detail: String, seen_at: Timestamp) -> Self {
        let MeteringRecord { user_id, collection_id, item_id, timestamp, bytes, backend } = &download.record;
        Self {
            reason: QuarantineReason::Rejected,
            detail,
            source: download.source(),
            id: download.identity.clone(),
            seen_at,
            record: json!({
                "userId": user_id, "collectionId": collection_id, "itemId": item_id.as_ref(),
                "timestamp": timestamp.as_ref(), "bytes": bytes, "backend": backend.name(),
            }),
        }
    }
}

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
