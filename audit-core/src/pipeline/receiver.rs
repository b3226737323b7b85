//! The receiver: a POST's entries, read, made durable, and accounted for, before it is answered.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;
use uuid::Uuid;

use super::queue::Queue;
#[cfg(feature = "spool")]
use super::standalone::Standalone;
use super::{Pipeline, settle};
use crate::record::Download;
use crate::source::minio::{self, Reading};
use crate::tally::Tally;

/// Bodies above this are read on a thread of their own, so that they do not hold up other requests.
const QUICK_BYTES: usize = 128 << 10;

/// What makes entries durable.
#[derive(Debug)]
pub enum Durable {
    /// The spool on disk; a worker delivers from there.
    #[cfg(feature = "spool")]
    Spool(Arc<Standalone>),
    /// An SQS queue; the same function, triggered by it, delivers.
    Queue(Queue),
    /// Nothing: they are delivered before the answer.
    Delivery,
}

/// Takes MinIO's POSTs.
#[derive(Debug)]
pub struct Receiver {
    pipeline: Arc<Pipeline>,
    durable: Durable,
}

/// The entries are not durable: the sender must send them again.
#[derive(Debug, thiserror::Error)]
#[error("entries not taken: {0}")]
pub struct NotTaken(pub String);

impl Receiver {
    /// Takes entries for `pipeline`, durable by `durable`.
    #[must_use]
    pub fn new(pipeline: Arc<Pipeline>, durable: Durable) -> Self {
        Self { pipeline, durable }
    }

    /// What makes entries durable.
    #[must_use]
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// Reads the entries of one POST and makes each durable: spooled, queued, delivered, or in quarantine.
    ///
    /// What is kept comes before what is quarantined: sent again, the former is recognised, the latter is not.
    ///
    /// # Errors
    /// When some entry is not durable; the whole POST is to be sent again.
    pub async fn take(&self, body: Bytes, until: Instant) -> Result<Tally, NotTaken> {
        let id = Uuid::now_v7();
        let origin: Arc<str> = format!("request:{id}").into();
        let reading = self.read(body, Arc::clone(&origin)).await?;
        let mut tally = Tally::default();
        tally.objects.skipped = reading.probes;
        for (&reason, &records) in &reading.skipped {
            tally.skip(reason, records);
        }
        let kept = self.keep(reading.downloads, until).await?;
        let reasons: Vec<_> = reading.quarantined.iter().map(|record| record.reason).collect();
        let quarantined = self.pipeline.quarantine(&origin, reading.quarantined).await;
        quarantined.map_err(|error| NotTaken(error.to_string()))?;
        for reason in reasons {
            tally.quarantine(reason);
        }
        #[cfg(feature = "spool")]
        if let Durable::Spool(standalone) = &self.durable {
            standalone.accounts().add(tally.clone());
        }
        tally += kept;
        Ok(tally)
    }

    async fn read(&self, body: Bytes, origin: Arc<str>) -> Result<Reading, NotTaken> {
        if body.len() <= QUICK_BYTES {
            return Ok(minio::read(&body, &origin, self.pipeline.policy()));
        }
        let policy = self.pipeline.policy().clone();
        let read = tokio::task::spawn_blocking(move || minio::read(&body, &origin, &policy));
        read.await.map_err(|error| NotTaken(format!("the reader broke: {error}")))
    }

    async fn keep(&self, downloads: Vec<Download>, until: Instant) -> Result<Tally, NotTaken> {
        let count = downloads.len() as u64;
        let mut tally = Tally { records: count, downloads: count, ..Tally::default() };
        match &self.durable {
            // The deliverer has the sink; the receiver needs none of its own.
            Durable::Queue(queue) => {
                queue.send(&downloads).await.map_err(|error| NotTaken(error.to_string()))?;
                tally.deliveries.get_or_insert_default().pending = count;
            }
            #[cfg(feature = "spool")]
            Durable::Spool(standalone) => {
                tally = standalone.append(&downloads).await.map_err(|error| NotTaken(error.to_string()))?;
            }
            Durable::Delivery => {
                let Some(report) = self.pipeline.deliver(&downloads, until).await else { return Ok(tally) };
                if settle::any_pending(&report) {
                    return Err(NotTaken(report.trouble.unwrap_or_else(|| "not delivered yet".to_owned())));
                }
                tally.deliveries.get_or_insert_default().pending = count;
                settle::settle(&mut tally, &report.outcomes);
            }
        }
        Ok(tally)
    }

    /// Whether entries would be made durable now.
    ///
    /// # Errors
    /// What is not ready.
    pub async fn ready(&self) -> Result<(), String> {
        match &self.durable {
            #[cfg(feature = "spool")]
            Durable::Spool(standalone) => standalone.ready().await?,
            Durable::Queue(queue) => queue.ping().await.map_err(|error| error.to_string())?,
            Durable::Delivery => {}
        }
        self.pipeline.ready().await
    }
}
