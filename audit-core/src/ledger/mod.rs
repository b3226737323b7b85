//! Which downloads were delivered: the only guard against billing twice, as the metering table has no key.
//!
//! A key goes **claimed** (with a lease) → **sent** (written, with the batch id, before the POST's first byte leaves) →
//! **confirmed** (kept for `LEDGER_TTL`); or it is **released** (known not inserted), or **held** (outcome unknown; kept for
//! `LEDGER_TTL` too). An expired claim comes free. An expired *sent* is [`Claim::Lost`]: nobody can know what came of it, so
//! whoever finds it holds it.

mod dynamodb;
mod entry;
mod memory;
mod open;
mod redis;
#[cfg(feature = "spool")]
mod spool;
mod url;

#[cfg(test)]
mod contract;

use std::time::Duration;

pub use dynamodb::DynamoLedger;
pub use memory::MemoryLedger;
pub use open::Stores;
pub use redis::RedisLedger;
#[cfg(feature = "spool")]
pub use spool::SpoolLedger;
pub use url::{LedgerUrl, LedgerUrlError};
use uuid::Uuid;

use crate::record::Key;

/// Who claims: one worker's name. A worker finds its own claims free, and its own `sent` lost, since it would know of any
/// POST under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner(pub Uuid);

/// The name of one POST, in the ledger, in `inputs.title` and in the held file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct BatchId(pub Uuid);

impl std::fmt::Display for BatchId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// How long the ledger keeps what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long a claim, and a `sent`, belong to their owner.
    pub lease: Duration,
    /// How long a delivery is remembered.
    pub ttl: Duration,
}

/// The answer to a claim for one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Ours to send.
    Claimed,
    /// Confirmed or held: dealt with.
    Duplicate,
    /// Claimed or sent by somebody else, lease not over: not yet.
    Busy,
    /// Sent in this batch by somebody who is gone: to be held under that batch's id.
    Lost(BatchId),
}

/// The store is out of reach or refused: nothing may be sent without a claim, so the caller fails and tries again.
#[derive(Debug, thiserror::Error)]
#[error("ledger {store}: {reason}")]
pub struct LedgerError {
    /// Which store, without credentials.
    pub store: &'static str,
    /// What it said.
    pub reason: String,
    /// Whether it was out of reach, rather than refusing: it may answer later with nothing mended in the configuration.
    pub away: bool,
}

/// A ledger. Each method takes a whole batch of distinct keys, and answers in their order.
#[derive(Debug)]
pub enum Ledger {
    /// In this process only; gone with it.
    Memory(MemoryLedger),
    /// In Redis.
    Redis(RedisLedger),
    /// In a DynamoDB table.
    DynamoDb(DynamoLedger),
    /// In the standalone receiver's spool.
    #[cfg(feature = "spool")]
    Spool(SpoolLedger),
}

impl Ledger {
    /// How long a change of so many keys may well take; no promise.
    #[must_use]
    pub fn time_for(&self, keys: usize) -> Duration {
        match self {
            // A request for each, on the share of a processor that a small function has.
            Self::DynamoDb(_) => Duration::from_micros(600).saturating_mul(u32::try_from(keys).unwrap_or(u32::MAX)),
            Self::Memory(_) | Self::Redis(_) => Duration::ZERO,
            #[cfg(feature = "spool")]
            Self::Spool(_) => Duration::ZERO,
        }
    }

    /// Claims what is free for `owner`.
    ///
    /// # Errors
    /// When the store cannot answer; some keys may then be claimed, until their lease ends.
    pub async fn claim(&self, keys: &[Key], owner: Owner) -> Result<Vec<Claim>, LedgerError> {
        match self {
            Self::Memory(own) => Ok(own.claim(keys, owner)),
            Self::Redis(own) => own.claim(keys, owner).await,
            Self::DynamoDb(own) => own.claim(keys, owner).await,
            #[cfg(feature = "spool")]
            Self::Spool(own) => own.claim(keys, owner).await,
        }
    }

    /// Marks claimed keys as about to be sent in `batch`; durable when it returns. `false`: the claim is no longer the
    /// owner's, and the key must not be sent. The same call repeated gives the same answer while the lease lasts.
    ///
    /// # Errors
    /// When the store cannot answer: nothing may be sent, and the claims are given up where the store can still be told.
    pub async fn sent(&self, keys: &[Key], owner: Owner, batch: BatchId) -> Result<Vec<bool>, LedgerError> {
        let marked = match self {
            Self::Memory(own) => Ok(own.sent(keys, owner, batch)),
            Self::Redis(own) => own.sent(keys, owner, batch).await,
            Self::DynamoDb(own) => own.sent(keys, owner, batch).await,
            #[cfg(feature = "spool")]
            Self::Spool(own) => own.sent(keys, owner, batch).await,
        };
        if marked.is_err() {
            // Where this fails too, the keys marked are found lost: a person settles what was never sent, and nothing is
            // billed twice.
            _ = self.release(keys, owner).await;
        }
        marked
    }

    /// Marks keys sent in `batch` as delivered. A key that was held under `batch` meanwhile becomes confirmed.
    ///
    /// # Errors
    /// When the store cannot answer; the keys stay sent, and become lost when their lease ends.
    pub async fn confirm(&self, keys: &[Key], batch: BatchId) -> Result<(), LedgerError> {
        match self {
            Self::Memory(own) => {
                own.confirm(keys, batch);
                Ok(())
            }
            Self::Redis(own) => own.confirm(keys, batch).await,
            Self::DynamoDb(own) => own.confirm(keys, batch).await,
            #[cfg(feature = "spool")]
            Self::Spool(own) => own.confirm(keys, batch).await,
        }
    }

    /// Frees keys that `owner` claimed or sent and that are known not to be inserted.
    ///
    /// # Errors
    /// When the store cannot answer; a claim then comes free when its lease ends, a `sent` becomes lost.
    pub async fn release(&self, keys: &[Key], owner: Owner) -> Result<(), LedgerError> {
        match self {
            Self::Memory(own) => {
                own.release(keys, owner);
                Ok(())
            }
            Self::Redis(own) => own.release(keys, owner).await,
            Self::DynamoDb(own) => own.release(keys, owner).await,
            #[cfg(feature = "spool")]
            Self::Spool(own) => own.release(keys, owner).await,
        }
    }

    /// Marks keys sent in `batch` as held. What is confirmed stays so.
    ///
    /// # Errors
    /// When the store cannot answer; the keys stay sent, and become lost when their lease ends.
    pub async fn hold(&self, keys: &[Key], batch: BatchId) -> Result<(), LedgerError> {
        match self {
            Self::Memory(own) => {
                own.hold(keys, batch);
                Ok(())
            }
            Self::Redis(own) => own.hold(keys, batch).await,
            Self::DynamoDb(own) => own.hold(keys, batch).await,
            #[cfg(feature = "spool")]
            Self::Spool(own) => own.hold(keys, batch).await,
        }
    }

    /// Settles keys held under `batch` as a person decided: delivered (`true`) or free again (`false`). Keys lost in
    /// `batch`, which nobody has marked as held yet, are settled too.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn settle(&self, keys: &[Key], batch: BatchId, delivered: bool) -> Result<(), LedgerError> {
        match self {
            Self::Memory(own) => {
                own.settle(keys, batch, delivered);
                Ok(())
            }
            Self::Redis(own) => own.settle(keys, batch, delivered).await,
            Self::DynamoDb(own) => own.settle(keys, batch, delivered).await,
            #[cfg(feature = "spool")]
            Self::Spool(own) => own.settle(keys, batch, delivered).await,
        }
    }
}
