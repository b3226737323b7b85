//! Delivers downloads, each exactly once as far as can be known.
//!
//! Every POST goes claim → token → `sent` in the ledger → request → what the answer proves. Known inserted: confirmed. Known not
//! inserted: released at once, before any wait, so that a crash while waiting leaves nothing in doubt; then claimed anew.
//! Unknown: kept durably, then held.

mod gate;
pub mod keep;
mod latency;
mod part;
mod recent;
mod run;
mod settle;
mod upstream;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use keep::{HeldBatch, Keep, KeepError};
pub use latency::{BOUNDS_SECONDS, Latency, Seen};
pub use recent::{Recent, Requests};
use tokio::time::Instant;
pub use upstream::{Posted, Upstream};

use crate::client::retry::Backoff;
use crate::clock::Clock;
use crate::ledger::{Ledger, Owner};
use crate::record::Download;
use crate::sink::ogc::execution::MAX_RECORD_BYTES;
use gate::Gate;
use run::Run;

/// What to do when a request's outcome is unknown (`AMBIGUOUS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ambiguous {
    /// Keep the batch for a person to settle.
    #[default]
    Hold,
    /// Send it again, which may bill twice.
    Resend,
}

/// How deliveries are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `BATCH_MAX_RECORDS`, at least 1.
    pub batch_max_records: usize,
    /// The most of records in one request, in bytes as the server counts them.
    pub batch_max_bytes: usize,
    /// `LEASE_SECONDS`, as the ledger has it: no request outlives it.
    pub lease: Duration,
    /// `AMBIGUOUS`.
    pub ambiguous: Ambiguous,
    /// Tries of one batch within one call.
    pub backoff: Backoff,
    /// Waits between probes of a server that does not answer; its tries are not counted.
    pub probes: Backoff,
    /// No request is begun with less time than this left: one that is cut off is one to be held.
    pub headroom: Duration,
    /// The name to claim under: of a process that no other can be taken for and that delivers by one call at a time, so that
    /// after a crash it finds what it claimed free, and what it sent lost. `None`: a new name for each claim.
    pub owner: Option<Owner>,
}

impl Default for Settings {
    fn default() -> Self {
        let (first, cap) = (Duration::from_millis(500), Duration::from_mins(1));
        Self {
            batch_max_records: 1000,
            batch_max_bytes: MAX_RECORD_BYTES,
            lease: Duration::from_mins(15),
            ambiguous: Ambiguous::Hold,
            backoff: Backoff { first, cap, tries: 5 },
            probes: Backoff { first: Duration::from_secs(2), cap: Duration::from_mins(5), tries: usize::MAX },
            headroom: Duration::from_secs(10),
            owner: None,
        }
    }
}

/// What became of one download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The server has confirmed it.
    Delivered,
    /// Delivered or held before, or twice among those given.
    Duplicate,
    /// Not delivered, or being delivered by somebody else: to be given again.
    Pending,
    /// Sent, outcome unknown; kept for a person to settle.
    Held,
    /// The server refuses it; in quarantine.
    Rejected,
}

/// What became of the downloads that were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// One for each, in their order.
    pub outcomes: Vec<Outcome>,
    /// Status of the last answer of the server.
    pub last_status: Option<u16>,
    /// Why something is pending, or what to mend; no secrets and no ids.
    pub trouble: Option<String>,
    /// How many downloads were sent again although an earlier request may have inserted them (`AMBIGUOUS=resend`).
    pub resent: u64,
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Boxed, because the compiler cannot tell of a trait's bare future, kept across an await, that it may change threads.
fn boxed<'a, T>(future: impl Future<Output = T> + Send + 'a) -> Boxed<'a, T> {
    Box::pin(future)
}

/// Delivers downloads. One for a process: what it learns about the server serves all calls, which may run side by side.
#[derive(Debug)]
pub struct Delivery<U, K> {
    upstream: U,
    ledger: Arc<Ledger>,
    keep: K,
    settings: Settings,
    clock: Clock,
    gate: Gate,
    latency: Latency,
    recent: Recent,
}

impl<U: Upstream, K: Keep> Delivery<U, K> {
    /// Delivers to `upstream` what `ledger` does not know as delivered; what cannot be delivered goes to `keep`.
    #[must_use]
    pub fn new(upstream: U, ledger: Arc<Ledger>, keep: K, settings: Settings, clock: Clock) -> Self {
        let gate = Gate::new(settings.probes);
        Self { upstream, ledger, keep, settings, clock, gate, latency: Latency::default(), recent: Recent::default() }
    }

    /// Delivers `downloads`, waiting and trying again where that helps, and is back by `until`, give or take the ledger's
    /// answers.
    ///
    /// To be stopped by `until`, not by dropping: dropped, it leaves claims that come free only when their lease ends, and a
    /// request under way that will have to be held.
    ///
    /// Unless the settings name one, each claim has an owner of its own. So no two calls can take each other's claims for theirs, and a call to the
    /// ledger that was given up on but arrives late frees nothing that has been claimed since.
    pub async fn deliver(&self, downloads: &[Download], until: Instant) -> Report {
        Run::new(self, downloads, until).go().await
    }

    /// What remembers the deliveries.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How long the server took.
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    /// The requests since somebody last took them.
    pub fn recent(&self) -> &Recent {
        &self.recent
    }
}

#[cfg(test)]
mod tests;
