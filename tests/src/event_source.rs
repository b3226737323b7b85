//! An SQS event source mapping with `ReportBatchItemFailures`: takes batches, invokes, deletes what succeeded.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::aws;
use crate::function::Function;
use crate::runtime_api::FunctionError;

/// The most messages that SQS hands out, and deletes, at once.
const RECEIVE_MAX: usize = 10;

/// A queue that triggers a function.
#[derive(Debug)]
pub struct EventSource {
    sqs: aws_sdk_sqs::Client,
    queue_url: String,
    queue_arn: String,
    batch_size: usize,
    hurried: bool,
    /// Held for each call that changes the queue: the emulator takes messages out of a copy of its list, so of two that do so at the
    /// same time one brings back what the other deleted.
    changes: Mutex<()>,
}

/// What came of one batch.
#[derive(Debug)]
pub struct BatchOutcome {
    /// How many messages were in it.
    pub messages: usize,
    /// The ids of those that stay in the queue.
    pub failed: BTreeSet<String>,
    /// The function's error, if the whole batch failed by one.
    pub error: Option<FunctionError>,
}

impl EventSource {
    /// A mapping from `queue_url` with batches of at most `batch_size`.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn new(sqs: aws_sdk_sqs::Client, queue_url: &str, batch_size: usize) -> Result<Self> {
        let queue_arn = aws::queue_arn(&sqs, queue_url).await?;
        Ok(Self {
            sqs,
            queue_url: queue_url.to_owned(),
            queue_arn,
            batch_size,
            hurried: false,
            changes: Mutex::new(()),
        })
    }

    /// Hands failed messages out again at once, as if their visibility timeout were over: so the timeout can be longer than any
    /// invocation takes, as it must be, and nobody waits for it.
    #[must_use]
    pub fn hurried(self) -> Self {
        Self { hurried: true, ..self }
    }

    /// Takes one batch and invokes `function` with it; `None` when no message is visible. What fails stays in the queue,
    /// out of sight until the queue's visibility timeout is over; then SQS hands it out again or moves it to the dead
    /// letters.
    ///
    /// # Errors
    /// When SQS does not answer. The function's errors are an outcome.
    pub async fn poll(&self, function: &Function) -> Result<Option<BatchOutcome>> {
        let messages = self.receive().await?;
        if messages.is_empty() {
            return Ok(None);
        }
        let ids: BTreeSet<_> = messages.iter().filter_map(|message| message.message_id().map(str::to_owned)).collect();
        let records: Vec<_> = messages.iter().map(|message| self.record(message)).collect();
        let (failed, error) = match function.invoke(&json!({ "Records": records })).await {
            Ok(answer) => (failures(&answer, &ids), None),
            Err(error) => (ids, Some(error)),
        };
        let has_failed = |message: &&Message| message.message_id().is_some_and(|id| failed.contains(id));
        self.delete(messages.iter().filter(|message| !has_failed(message))).await?;
        if self.hurried {
            let _alone = self.changes.lock().await;
            for message in messages.iter().filter(has_failed) {
                let again = self.sqs.change_message_visibility().queue_url(&self.queue_url).visibility_timeout(0);
                let again = again.receipt_handle(message.receipt_handle().unwrap_or_default());
                again.send().await.context("hand a message out again")?;
            }
        }
        Ok(Some(BatchOutcome { messages: messages.len(), failed, error }))
    }

    /// Polls until no message is visible, and answers what came of each batch.
    ///
    /// # Errors
    /// As [`EventSource::poll`].
    pub async fn drain(&self, function: &Function) -> Result<Vec<BatchOutcome>> {
        let mut outcomes = Vec::new();
        while let Some(outcome) = self.poll(function).await? {
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// Polls until the queue has neither visible messages nor ones out of sight.
    ///
    /// # Errors
    /// As [`EventSource::poll`], and when `limit` passes.
    pub async fn drain_all(&self, function: &Function, limit: Duration) -> Result<Vec<BatchOutcome>> {
        let all = async {
            let mut outcomes = self.drain(function).await?;
            while self.remaining().await? > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                outcomes.extend(self.drain(function).await?);
            }
            anyhow::Ok(outcomes)
        };
        tokio::time::timeout(limit, all).await.with_context(|| format!("queue not empty within {limit:?}"))?
    }

    /// How many messages are in the queue, visible or not.
    ///
    /// # Errors
    /// When SQS does not answer.
    pub async fn remaining(&self) -> Result<u64> {
        let request = self.sqs.get_queue_attributes().queue_url(&self.queue_url);
        let answer = request.attribute_names(aws_sdk_sqs::types::QueueAttributeName::All).send().await?;
        let attributes = answer.attributes.unwrap_or_default();
        let mut sum = 0;
        for (name, value) in attributes {
            if name.as_str().starts_with("ApproximateNumberOfMessages") {
                sum += value.parse::<u64>().with_context(|| format!("queue attribute {name}"))?;
            }
        }
        Ok(sum)
    }

    async fn receive(&self) -> Result<Vec<Message>> {
        let _alone = self.changes.lock().await;
        let mut messages = Vec::new();
        while messages.len() < self.batch_size {
            let wanted = (self.batch_size - messages.len()).min(RECEIVE_MAX);
            let request = self.sqs.receive_message().queue_url(&self.queue_url).message_attribute_names("All");
            let request = request.message_system_attribute_names(MessageSystemAttributeName::All);
            let answer =
                request.max_number_of_messages(i32::try_from(wanted)?).send().await.context("receive messages")?;
            let more = answer.messages.unwrap_or_default();
            if more.is_empty() {
                break;
            }
            messages.extend(more);
        }
        Ok(messages)
    }

    async fn delete(&self, messages: impl Iterator<Item = &Message>) -> Result<()> {
        let _alone = self.changes.lock().await;
        let handles: Vec<_> = messages.filter_map(Message::receipt_handle).collect();
        for chunk in handles.chunks(RECEIVE_MAX) {
            let mut request = self.sqs.delete_message_batch().queue_url(&self.queue_url);
            for (number, handle) in chunk.iter().enumerate() {
                let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string()).receipt_handle(*handle);
                request = request.entries(entry.build()?);
            }
            request.send().await.context("delete messages")?;
        }
        Ok(())
    }

    fn record(&self, message: &Message) -> Value {
        let attributes: BTreeMap<&str, &str> =
            message.attributes().into_iter().flatten().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut own = Map::new();
        for (name, value) in message.message_attributes().into_iter().flatten() {
            let value = json!({ "dataType": value.data_type(), "stringValue": value.string_value() });
            own.insert(name.clone(), value);
        }
        json!({
            "messageId": message.message_id(), "receiptHandle": message.receipt_handle(), "body": message.body(),
            "attributes": attributes, "messageAttributes": own, "md5OfBody": message.md5_of_body(),
            "eventSource": "aws:sqs", "eventSourceARN": self.queue_arn, "awsRegion": aws::REGION,
        })
    }
}

/// Which messages an answer calls failed. As AWS has it: nothing, or an empty list, is success; an answer that names no
/// message, or one that was not in the batch, fails all of them.
fn failures(answer: &Value, batch: &BTreeSet<String>) -> BTreeSet<String> {
    let Some(fields) = answer.as_object() else {
        return if answer.is_null() { BTreeSet::new() } else { batch.clone() };
    };
    let listed = match fields.get("batchItemFailures") {
        None if fields.is_empty() => return BTreeSet::new(),
        Some(Value::Null) => return BTreeSet::new(),
        Some(Value::Array(listed)) => listed,
        _ => return batch.clone(),
    };
    let ids = listed.iter().map(|failure| Some(failure.get("itemIdentifier")?.as_str()?.to_owned()));
    match ids.collect::<Option<BTreeSet<_>>>() {
        Some(ids) if ids.is_subset(batch) => ids,
        _ => batch.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_they_mean_to_aws() {
        let batch: BTreeSet<String> = ["a", "b"].map(str::to_owned).into();
        let none = BTreeSet::new();
        let one: BTreeSet<String> = ["b".to_owned()].into();
        for (answer, failed) in [
            (json!(null), &none),
            (json!({}), &none),
            (json!({"batchItemFailures": null}), &none),
            (json!({"batchItemFailures": []}), &none),
            (json!({"batchItemFailures": [{"itemIdentifier": "b"}]}), &one),
            (json!({"batchItemFailures": [{"itemIdentifier": ""}]}), &batch),
            (json!({"batchItemFailures": [{"itemIdentifier": null}]}), &batch),
            (json!({"batchItemFailures": [{"id": "a"}]}), &batch),
            (json!({"batchItemFailures": [{"itemIdentifier": "c"}]}), &batch),
            (json!({"status": "completed"}), &batch),
            (json!("done"), &batch),
        ] {
            assert_eq!(failures(&answer, &batch), *failed, "{answer}");
        }
    }
}
