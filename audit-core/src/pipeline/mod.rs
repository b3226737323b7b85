//! Where the stages meet: sources, policy, delivery and stores, put together for each program.

#[cfg(feature = "spool")]
mod analytics_worker;
pub mod backfill;
pub mod cloudtrail;
mod dashboard;
mod errand;
mod ledger_check;
mod object;
pub mod queue;
pub mod receiver;
pub mod rejudge;
mod replay;
mod settle;
#[cfg(feature = "spool")]
pub mod standalone;
mod start;
mod stores;

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use dashboard::Dashboard;
pub use start::{Parts, StartError, open_ledger, secret};
use stores::Stores;

use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::{Delivery, Report, Requests, Seen};
use crate::ledger::Ledger;
use crate::policy::MeteringPolicy;
use crate::quarantine::Quarantined;
use crate::record::Download;
use crate::sink::ogc::Ogc;
use crate::source::ReadLimits;
use crate::store::StoreError;

/// What the programs share: how records are judged, and where they go.
#[derive(Debug)]
pub struct Pipeline {
    policy: MeteringPolicy,
    limits: ReadLimits,
    batch_max_records: usize,
    /// `None`: no metering sink.
    delivery: Option<Delivery<Ogc, Stores>>,
    /// `None`: no analytics sink.
    dashboard: Option<Dashboard>,
    /// `Some`: the sinks are with the deliverer behind a queue.
    behind_queue: Option<BehindQueue>,
    stores: Stores,
    clock: Clock,
    /// Whether the ledger answered at the start.
    ledger_seen: bool,
}

/// What the deliverer behind a queue does, as far as the receiver before it must know.
#[derive(Debug)]
struct BehindQueue {
    meters: bool,
    shows: bool,
    /// `None`: neither of both.
    ledger: Option<Ledger>,
}

impl Pipeline {
    /// How records are judged.
    #[must_use]
    pub fn policy(&self) -> &MeteringPolicy {
        &self.policy
    }

    /// What reading one object may cost.
    #[must_use]
    pub fn limits(&self) -> ReadLimits {
        self.limits
    }

    /// Records in one POST, and in memory at a time.
    #[must_use]
    pub fn batch_max_records(&self) -> usize {
        self.batch_max_records
    }

    /// Whether there is a metering sink.
    #[must_use]
    pub fn delivers(&self) -> bool {
        self.delivery.is_some()
    }

    /// Whether downloads are delivered, here or behind a queue.
    #[must_use]
    pub fn meters(&self) -> bool {
        self.delivers() || self.behind_queue.as_ref().is_some_and(|own| own.meters)
    }

    /// Whether reads are shown on a dashboard, from here or from behind a queue.
    #[must_use]
    pub fn shows(&self) -> bool {
        self.dashboard.is_some() || self.behind_queue.as_ref().is_some_and(|own| own.shows)
    }

    pub(crate) fn dashboard(&self) -> Option<&Dashboard> {
        self.dashboard.as_ref()
    }

    /// Latency of the resource server.
    #[must_use]
    pub fn latency(&self) -> Option<Seen> {
        self.delivery.as_ref().map(|delivery| delivery.latency().seen())
    }

    /// The requests to the resource server since this was last asked.
    #[must_use]
    pub fn take_requests(&self) -> Requests {
        self.delivery.as_ref().map(|delivery| delivery.recent().take()).unwrap_or_default()
    }

    /// Delivers downloads, each once; `None` without a metering sink.
    pub(crate) async fn deliver(&self, downloads: &[Download], until: Instant) -> Option<Report> {
        let delivery = self.delivery.as_ref()?;
        if downloads.is_empty() {
            return Some(Report { outcomes: Vec::new(), last_status: None, trouble: None, resent: 0 });
        }
        let report = delivery.deliver(downloads, until).await;
        if report.resent > 0 {
            tracing::warn!(
                records = report.resent,
                "sent again although they may have been inserted (AMBIGUOUS=resend)"
            );
        }
        Some(report)
    }

    /// Puts records of `origin` into quarantine; durable when it returns.
    pub(crate) async fn quarantine(&self, origin: &str, records: Vec<Quarantined>) -> Result<(), StoreError> {
        self.stores.quarantine(origin, records, self.clock.now()).await
    }

    /// Whether the ledger answers; upstreams do not count.
    ///
    /// # Errors
    /// What is not ready.
    pub async fn ready(&self) -> Result<(), String> {
        match self.any_ledger() {
            Some(ledger) => ledger.ping().await.map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// The ledger of metering, or else of analytics; both are in one store.
    fn any_ledger(&self) -> Option<&Ledger> {
        let sinks = self.ledger().or_else(|| self.dashboard.as_ref().map(Dashboard::ledger));
        sinks.or_else(|| self.behind_queue.as_ref()?.ledger.as_ref())
    }
}

/// Time kept at the end of an invocation for its answer and its last log lines.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// By when the work of an invocation must be done that Lambda ends at `deadline`, and how long that is from now.
///
/// # Errors
/// When the lease could end before the invocation: somebody else could then send what this one is sending.
pub fn deadline(clock: &Clock, deadline: SystemTime, config: &Config) -> Result<(Instant, Duration), StartError> {
    let now = SystemTime::from(clock.now());
    let left = deadline.duration_since(now).unwrap_or_default();
    if left > config.terms.lease {
        return Err(StartError::Lease { lease: config.terms.lease, left });
    }
    let work = left.saturating_sub(ANSWER_TIME.min(left / 4));
    Ok((Instant::now() + work, work))
}
