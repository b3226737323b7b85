//! What the engine asks of a server that takes batches.

use std::future::Future;

use tokio::time::Instant;

use crate::ledger::BatchId;
use crate::record::MeteringRecord;
use crate::sink::ogc::answer::Answer;
use crate::sink::ogc::token::TokenError;

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// What that means.
    pub answer: Answer,
    /// The answer's status, where there was an answer.
    pub status: Option<u16>,
}

/// A server that takes batches, each as a whole or not at all.
pub trait Upstream: Send + Sync {
    /// What a request needs to be let in.
    type Pass: Send + Sync;

    /// A pass. It is asked for before anything is marked as sent.
    fn pass(&self) -> impl Future<Output = Result<Self::Pass, TokenError>> + Send;

    /// Takes word that `pass` was not accepted.
    fn refuse(&self, pass: &Self::Pass) -> impl Future<Output = ()> + Send;

    /// Sends `records`, never none, as `batch`, and is back by `until`.
    fn post(
        &self,
        pass: &Self::Pass,
        batch: BatchId,
        records: &[&MeteringRecord],
        until: Instant,
    ) -> impl Future<Output = Posted> + Send;

    /// Whether what a request leaves behind can be followed, asked without sending anything; else what to mend.
    fn can_follow(&self) -> impl Future<Output = Result<(), String>> + Send;

    /// What `record` adds to a request, in bytes.
    fn weight_bytes(record: &MeteringRecord) -> usize;
}
