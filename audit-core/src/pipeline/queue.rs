//! The SQS queue between receiver and deliverer: downloads and reads as messages, and back.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::Instant;

use super::cloudtrail::Run;
use super::errand::{self, Errand, READS};
use super::{Pipeline, settle};
use crate::analytics::Read;
use crate::aws::{Asked, advice};
use crate::delivery::Outcome;
use crate::record::Download;

/// The most of downloads in one message, in bytes; SQS takes 256 KiB, envelope included.
const MESSAGE_BYTES: usize = 240 << 10;

/// What a message holds.
#[derive(Debug, Serialize, Deserialize)]
struct Message<D, R> {
    downloads: D,
    #[serde(default)]
    reads: R,
}

fn asked(permission: &'static str) -> Asked<'static> {
    Asked {
        service: "SQS",
        permission,
        of: "the queue of QUEUE_URL",
        missing: "QUEUE_URL: no such queue in the function's region",
        region_variable: None,
    }
}

/// A queue to send to.
#[derive(Debug)]
pub struct Queue {
    sqs: aws_sdk_sqs::Client,
    url: String,
}

/// The queue did not take a message.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// SQS refused or is out of reach.
    #[error("queue: {0}")]
    Sqs(String),
    /// A download could not be written as a message.
    #[error("queue: a download cannot be written: {0}")]
    Encode(#[from] serde_json::Error),
}

impl Queue {
    /// The queue at `url`.
    #[must_use]
    pub fn new(sqs: aws_sdk_sqs::Client, url: String) -> Self {
        Self { sqs, url }
    }

    /// Sends downloads, and reads for the dashboard, in as few messages as they fit in; durable when this returns.
    ///
    /// # Errors
    /// When one of them was not taken; others may have been, and come twice then, which the ledger sorts out.
    pub async fn send(&self, downloads: &[Download], reads: &[Read]) -> Result<(), QueueError> {
        for body in bodies(downloads, reads)? {
            let sent = self.sqs.send_message().queue_url(&self.url).message_body(body).send().await;
            sent.map_err(|error| QueueError::Sqs(advice(&error, &asked("sqs:SendMessage"))))?;
        }
        Ok(())
    }

    /// Whether the queue answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), QueueError> {
        let answer = self.sqs.get_queue_attributes().queue_url(&self.url).send().await;
        answer.map(drop).map_err(|error| QueueError::Sqs(advice(&error, &asked("sqs:GetQueueAttributes"))))
    }
}

/// The messages: downloads, then reads, a new message wherever the next item does not fit in.
fn bodies(downloads: &[Download], reads: &[Read]) -> Result<Vec<String>, QueueError> {
    let downloads = downloads.iter().map(|own| (to_raw_value(own), true));
    let reads = reads.iter().map(|own| (to_raw_value(own), false));
    let mut bodies = Vec::new();
    let (mut message, mut bytes) = (Message { downloads: Vec::new(), reads: Vec::new() }, 0);
    for (item, is_download) in downloads.chain(reads) {
        let item = fit_for_sqs(item?)?;
        let size = item.get().len() + 1;
        if bytes > 0 && bytes + size > MESSAGE_BYTES {
            bodies.push(serde_json::to_string(&message)?);
            message.downloads.clear();
            message.reads.clear();
            bytes = 0;
        }
        bytes += size;
        if is_download { &mut message.downloads } else { &mut message.reads }.push(item);
    }
    if bytes > 0 {
        bodies.push(serde_json::to_string(&message)?);
    }
    Ok(bodies)
}

/// SQS takes the characters of XML 1.0 alone: of what JSON leaves as it is, these two are none, and they can only stand in a string.
fn fit_for_sqs(item: Box<RawValue>) -> Result<Box<RawValue>, serde_json::Error> {
    let text = item.get();
    if !text.contains(['\u{fffe}', '\u{ffff}']) {
        return Ok(item);
    }
    RawValue::from_string(text.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff"))
}

/// One message of the queue, as SQS gives it to the deliverer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// `messageId`.
    pub id: String,
    /// `attributes.ApproximateReceiveCount`: how often it has been handed out, this time included.
    pub receipts: u64,
    /// `attributes.SentTimestamp`: when it was sent, in milliseconds since 1970.
    pub sent_ms: Option<i64>,
    /// `body`.
    pub body: String,
}

/// Delivers the messages' downloads together, then sends their reads, and tells which messages must come again.
pub async fn deliver(pipeline: &Pipeline, messages: Vec<Received>, until: Instant) -> Run {
    let mut run = Run { from_sqs: true, ..Run::default() };
    let (mut downloads, mut reads, mut ends, mut ids) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (number, message) in messages.into_iter().enumerate() {
        run.waited_since(message.sent_ms);
        match serde_json::from_str::<Message<Vec<Download>, Vec<Read>>>(&message.body) {
            Ok(own) => {
                downloads.extend(own.downloads);
                reads.extend(own.reads.into_iter().map(|read| (number, read)));
                ends.push((message.id.clone(), downloads.len()));
            }
            // Not ours: it ends in the dead-letter queue, where a person finds it.
            Err(error) => {
                run.troubles.push(format!("message {}: expected downloads from the receiver: {error}", message.id));
                run.failed_messages.push(message.id.clone());
            }
        }
        ids.push((Some(message.id), message.receipts));
    }
    meter(pipeline, &downloads, ends, &mut run, until).await;
    let Some(dashboard) = pipeline.dashboard() else {
        // The sink was switched off since.
        run.tally.analytics.events = reads.len() as u64;
        run.tally.analytics.excluded = reads.len() as u64;
        return run;
    };
    let mut errand = Errand::new(dashboard, until);
    while !reads.is_empty() {
        let rest = reads.split_off(reads.len().min(READS));
        errand.send(std::mem::replace(&mut reads, rest)).await;
    }
    errand::account(&mut run, errand.finish().await, &ids);
    run
}

/// Delivers the downloads of messages that end at `ends`.
async fn meter(pipeline: &Pipeline, downloads: &[Download], ends: Vec<(String, usize)>, run: &mut Run, until: Instant) {
    if !pipeline.delivers() && downloads.is_empty() {
        return;
    }
    let Some(report) = pipeline.deliver(downloads, until).await else {
        run.troubles.push("PROCESS_API_URL: expected a URL, as there are downloads to deliver".to_owned());
        run.failed_messages.extend(ends.into_iter().map(|(id, _)| id));
        return;
    };
    settle::count(&mut run.tally, &report);
    run.api_status = report.last_status;
    let mut outcomes = report.outcomes.iter();
    let mut start = 0;
    for (id, end) in ends {
        // All of the message's outcomes are taken, so that the next message starts at its own.
        let pending = outcomes.by_ref().take(end - start).filter(|outcome| **outcome == Outcome::Pending).count();
        start = end;
        if pending > 0 {
            run.failed_messages.push(id);
        }
    }
    if settle::any_pending(&report) {
        run.troubles.push(report.trouble.unwrap_or_else(|| "not delivered yet".to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sqs_takes_comes_back_as_it_was() {
        let read = Read { key: "a\u{ffff}b\u{fffe}\\\u{7f}".to_owned(), ..crate::analytics::samples::read() };
        let bodies = bodies(&[], std::slice::from_ref(&read)).unwrap();
        let [body] = &bodies[..] else { panic!("{bodies:?}") };
        assert!(!body.contains(['\u{fffe}', '\u{ffff}']), "{body}");
        let message: Message<Vec<Download>, Vec<Read>> = serde_json::from_str(body).unwrap();
        assert_eq!(message.reads, [read]);
    }
}
