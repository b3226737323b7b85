//! The SQS queue between receiver and deliverer: downloads as messages, and back.

use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::operation::send_message::SendMessageError;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::cloudtrail::Run;
use super::{Pipeline, settle};
use crate::delivery::Outcome;
use crate::record::Download;

/// The most of downloads in one message, in bytes; SQS takes 256 KiB, envelope included.
const MESSAGE_BYTES: usize = 240 << 10;

/// What a message holds.
#[derive(Debug, Serialize, Deserialize)]
struct Message<D> {
    downloads: D,
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

    /// Sends downloads in as few messages as they fit in; durable when this returns.
    ///
    /// # Errors
    /// When one of them was not taken; others may have been, and come twice then, which the ledger sorts out.
    pub async fn send(&self, downloads: &[Download]) -> Result<(), QueueError> {
        for part in parts(downloads)? {
            let body = serde_json::to_string(&Message { downloads: part })?;
            let sent = self.sqs.send_message().queue_url(&self.url).message_body(body).send().await;
            sent.map_err(|error| QueueError::Sqs(advice(&error)))?;
        }
        Ok(())
    }

    /// Whether the queue answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), QueueError> {
        let asked = self.sqs.get_queue_attributes().queue_url(&self.url).send().await;
        asked.map(drop).map_err(|error| QueueError::Sqs(DisplayErrorContext(error).to_string()))
    }
}

/// Cuts downloads into runs that fit into one message each.
fn parts(downloads: &[Download]) -> Result<Vec<&[Download]>, QueueError> {
    let mut parts = Vec::new();
    let (mut rest, mut taken, mut bytes) = (downloads, 0, 0);
    for download in downloads {
        let size = serde_json::to_vec(download)?.len() + 1;
        if taken > 0 && bytes + size > MESSAGE_BYTES {
            let (part, behind) = rest.split_at(taken);
            parts.push(part);
            (rest, taken, bytes) = (behind, 0, 0);
        }
        taken += 1;
        bytes += size;
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    Ok(parts)
}

/// One message of the queue, as SQS gives it to the deliverer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// `messageId`.
    pub id: String,
    /// `body`.
    pub body: String,
}

/// Delivers the messages' downloads together and tells which messages must come again.
pub async fn deliver(pipeline: &Pipeline, messages: Vec<Received>, until: Instant) -> Run {
    let mut run = Run { from_sqs: true, ..Run::default() };
    let (mut downloads, mut ends) = (Vec::new(), Vec::new());
    for message in messages {
        match serde_json::from_str::<Message<Vec<Download>>>(&message.body) {
            Ok(own) => {
                downloads.extend(own.downloads);
                ends.push((message.id, downloads.len()));
            }
            // Not ours: it ends in the dead-letter queue, where a person finds it.
            Err(error) => {
                run.troubles.push(format!("message {}: expected downloads from the receiver: {error}", message.id));
                run.failed_messages.push(message.id);
            }
        }
    }
    let Some(report) = pipeline.deliver(&downloads, until).await else {
        run.troubles.push("PROCESS_API_URL: expected a URL, as there are downloads to deliver".to_owned());
        run.failed_messages.extend(ends.into_iter().map(|(id, _)| id));
        return run;
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
    run
}

fn advice(error: &aws_sdk_sqs::error::SdkError<SendMessageError>) -> String {
    match error.as_service_error().and_then(|error| error.meta().code()) {
        Some("AccessDenied" | "AccessDeniedException") => {
            "access denied: the function's role needs sqs:SendMessage on QUEUE_URL".to_owned()
        }
        Some(code) if code.contains("NonExistentQueue") => "QUEUE_URL: no such queue".to_owned(),
        Some(code) => format!("SQS answered {code}"),
        None => DisplayErrorContext(error).to_string(),
    }
}
