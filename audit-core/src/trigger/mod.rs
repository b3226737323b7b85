//! Invocation payload → what to read. Every shape is told by its discriminator, never by trying one after another: a
//! payload of no known shape is an error, since taking it for "no logs" would lose some.

mod logs;
mod object;
mod shape;

use std::sync::Arc;

use serde_json::value::RawValue;

pub use object::no_log;
use shape::{Members, Shape};

/// What one invocation asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Invocation {
    /// One for each SQS message; otherwise one for each part that stands or falls alone.
    pub messages: Vec<Message>,
    /// Whether the answer must name the messages that failed.
    pub from_sqs: bool,
}

/// One message of an invocation.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// SQS's `messageId`; `None` for all other ways in.
    pub id: Option<String>,
    /// How often SQS has handed it out, this time included; 0 for all other ways in, or where that is not told.
    pub receipts: u64,
    /// When it was sent to SQS, in milliseconds since 1970; `None` for all other ways in, or where that is not told.
    pub sent_ms: Option<i64>,
    /// What to read; an error fails this message alone.
    pub work: Result<Vec<Work>, TriggerError>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Read a log file.
    Object {
        /// Its bucket.
        bucket: String,
        /// Its key, decoded.
        key: String,
        /// Its size in bytes, where the event tells.
        size: Option<u64>,
    },
    /// Read records that came with the event.
    Records {
        /// `{"Records":[…]}`, as in a log file.
        json: Vec<u8>,
        /// `request:ID`.
        origin: Arc<str>,
    },
    /// Nothing to read.
    Skipped(Skipped),
}

/// Why there is nothing to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skipped {
    /// A digest file.
    Digest,
    /// An Insights file.
    Insight,
    /// A key that ends in a slash.
    Folder,
    /// An object of no bytes.
    Empty,
    /// A test or control message, sent when something was set up.
    Test,
    /// An event of something else than the creation of an object.
    NotCreated,
}

/// Why a message cannot be understood or must not be followed. Names keys and shapes, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TriggerError {
    /// Not JSON.
    #[error("{within}: {reason}; expected an event as JSON")]
    NotJson {
        /// Which part of the event.
        within: &'static str,
        /// Where its grammar is broken.
        reason: crate::json::SyntaxError,
    },
    /// JSON of no known shape.
    #[error(
        "unknown event: {seen}; expected an S3, SQS, SNS, EventBridge or CloudWatch Logs event, CloudTrail's own notification, \
         or {{\"bucket\":…,\"key\":…}}"
    )]
    Unknown {
        /// What was seen in it: keys, and what tells shapes apart.
        seen: String,
    },
    /// A known shape with a field missing or of the wrong kind.
    #[error("{within}: expected {expected}")]
    Field {
        /// Which shape.
        within: &'static str,
        /// The field, and what it must be.
        expected: &'static str,
    },
    /// `awslogs.data` is damaged or too large.
    #[error("CloudWatch Logs data: {0}")]
    Data(String),
    /// Names a bucket other than `CLOUDTRAIL_BUCKET`.
    #[error("refused: the event names the bucket {bucket}, but CLOUDTRAIL_BUCKET is {expected}")]
    OtherBucket {
        /// The bucket of the event.
        bucket: String,
        /// The one that is allowed.
        expected: String,
    },
    /// Events within events, deeper than any service nests them.
    #[error("events nested more than {DEEPEST} deep")]
    TooDeep,
}

/// SQS → SNS → S3 is as deep as it gets.
const DEEPEST: usize = 4;

/// What an invocation is read with.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// Names direct invocations, in `request:ID`.
    pub request_id: &'a str,
    /// `CLOUDTRAIL_BUCKET`: the only bucket that events may name.
    pub bucket: Option<&'a str>,
    /// Cap on what `awslogs.data` inflates to.
    pub max_decompressed_bytes: u64,
}

impl Reader<'_> {
    /// Reads an invocation's payload.
    ///
    /// # Errors
    /// [`TriggerError`] when the payload itself is of no known shape; trouble within a message is that message's.
    pub fn read(&self, payload: &[u8]) -> Result<Invocation, TriggerError> {
        let (messages, from_sqs) = match shape::of("event", payload)? {
            Shape::Sqs(messages) => (messages.iter().map(|message| self.sqs(message)).collect(), true),
            Shape::Sns(notifications) => {
                let read = |(number, own): (usize, &Members<'_>)| {
                    let origin = match number {
                        0 => self.request_id.to_owned(),
                        _ => format!("{}/{}", self.request_id, number + 1),
                    };
                    Message {
                        id: None,
                        receipts: 0,
                        sent_ms: None,
                        work: sns_message(own).and_then(|text| self.nested("SNS message", &text, &origin, 1)),
                    }
                };
                (notifications.iter().enumerate().map(read).collect(), false)
            }
            alone @ (Shape::Test | Shape::Objects(_) | Shape::Records(_) | Shape::Logs(_) | Shape::SnsEnvelope(_)) => {
                let work = Ok(self.work(alone, self.request_id, 0)?);
                (vec![Message { id: None, receipts: 0, sent_ms: None, work }], false)
            }
        };
        Ok(Invocation { messages, from_sqs })
    }

    fn sqs(&self, message: &Members<'_>) -> Message {
        let field = |expected| TriggerError::Field { within: "SQS message", expected };
        let id = message.string("messageId");
        let work = match (&id, message.string("body")) {
            (None, _) => Err(field("messageId to be a string")),
            (_, None) => Err(field("body to be a string")),
            (Some(id), Some(body)) => self.nested("SQS message body", &body, id, 1),
        };
        let attributes = message.object("attributes");
        let attribute = |name| attributes.as_ref().and_then(|own| own.string(name));
        let receipts = attribute("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(0);
        let sent_ms = attribute("SentTimestamp").and_then(|at| at.parse().ok());
        Message { id, receipts, sent_ms, work }
    }

    fn nested(&self, within: &'static str, text: &str, id: &str, depth: usize) -> Result<Vec<Work>, TriggerError> {
        if depth > DEEPEST {
            return Err(TriggerError::TooDeep);
        }
        if shape::is_validation_message(text) {
            return Ok(vec![Work::Skipped(Skipped::Test)]);
        }
        self.work(shape::of(within, text.as_bytes())?, id, depth)
    }

    fn work(&self, shape: Shape<'_>, id: &str, depth: usize) -> Result<Vec<Work>, TriggerError> {
        match shape {
            Shape::Test => Ok(vec![Work::Skipped(Skipped::Test)]),
            Shape::Objects(objects) => objects.into_iter().map(|object| self.object(object)).collect(),
            Shape::Records(json) => Ok(vec![Work::Records { json, origin: origin(id) }]),
            Shape::Logs(data) => Ok(vec![match logs::records(&data, self.max_decompressed_bytes)? {
                Some(json) => Work::Records { json, origin: origin(id) },
                None => Work::Skipped(Skipped::Test),
            }]),
            Shape::SnsEnvelope(text) => self.nested("SNS message", &text, id, depth + 1),
            Shape::Sns(notifications) => {
                let mut work = Vec::new();
                for (number, own) in notifications.iter().enumerate() {
                    let id = if number == 0 { id.to_owned() } else { format!("{id}/{}", number + 1) };
                    work.extend(self.nested("SNS message", &sns_message(own)?, &id, depth + 1)?);
                }
                Ok(work)
            }
            Shape::Sqs(_) => Err(TriggerError::Unknown { seen: "an SQS event within another event".to_owned() }),
        }
    }

    fn object(&self, object: object::Named) -> Result<Work, TriggerError> {
        match self.bucket {
            Some(expected) if expected != object.bucket => {
                Err(TriggerError::OtherBucket { bucket: object.bucket, expected: expected.to_owned() })
            }
            _ => Ok(object.work()),
        }
    }
}

fn origin(id: &str) -> Arc<str> {
    format!("request:{id}").into()
}

fn sns_message(notification: &Members<'_>) -> Result<String, TriggerError> {
    let missing = TriggerError::Field { within: "SNS event", expected: "Sns.Message to be a string" };
    notification.object("Sns").and_then(|sns| sns.string("Message")).ok_or(missing)
}

/// `{"Records":[…]}` of records as they stand.
fn records_json<'a>(records: impl IntoIterator<Item = &'a RawValue>) -> Vec<u8> {
    let records: Vec<&str> = records.into_iter().map(RawValue::get).collect();
    format!("{{\"Records\":[{}]}}", records.join(",")).into_bytes()
}

#[cfg(test)]
mod tests;
