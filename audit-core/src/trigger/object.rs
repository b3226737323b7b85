//! The object that an event names, and whether it can be a log file.

use percent_encoding::percent_decode_str;

use super::shape::Members;
use super::{Skipped, TriggerError, Work};

/// An object as an event names it, key decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) size: Option<u64>,
    pub(super) created: bool,
}

impl Named {
    pub(super) fn work(self) -> Work {
        let Self { bucket, key, size, created } = self;
        let skipped = if created { no_log(&key, size) } else { Some(Skipped::NotCreated) };
        skipped.map_or(Work::Object { bucket, key, size }, Work::Skipped)
    }
}

/// Why the object at `key` can be no log file; `None` where it can.
#[must_use]
pub fn no_log(key: &str, size: Option<u64>) -> Option<Skipped> {
    if key.contains("/CloudTrail-Digest/") {
        Some(Skipped::Digest)
    } else if key.contains("/CloudTrail-Insight/") {
        Some(Skipped::Insight)
    } else if key.ends_with('/') {
        Some(Skipped::Folder)
    } else {
        (size == Some(0)).then_some(Skipped::Empty)
    }
}

/// A record of an S3 notification.
pub(super) fn of_notification(record: &Members<'_>) -> Result<Named, TriggerError> {
    let field = |expected| TriggerError::Field { within: "S3 notification", expected };
    let s3 = record.object("s3").ok_or(field("s3 to be an object"))?;
    let bucket = s3.object("bucket").and_then(|bucket| bucket.string("name"));
    let object = s3.object("object").ok_or(field("s3.object to be an object"))?;
    let key = object.string("key").ok_or(field("s3.object.key to be a string"))?;
    let event = record.string("eventName").ok_or(field("eventName to be a string"))?;
    Ok(Named {
        bucket: bucket.ok_or(field("s3.bucket.name to be a string"))?,
        key: form_decoded(&key).ok_or(field("s3.object.key to be UTF-8 once it is decoded"))?,
        size: object.number("size"),
        created: event.strip_prefix("s3:").unwrap_or(&event).starts_with("ObjectCreated:"),
    })
}

/// An EventBridge event of S3: its key is not encoded.
pub(super) fn of_event_bridge(event: &Members<'_>) -> Result<Named, TriggerError> {
    let field = |expected| TriggerError::Field { within: "EventBridge S3 event", expected };
    let detail = event.object("detail").ok_or(field("detail to be an object"))?;
    let bucket = detail.object("bucket").and_then(|bucket| bucket.string("name"));
    let object = detail.object("object").ok_or(field("detail.object to be an object"))?;
    Ok(Named {
        bucket: bucket.ok_or(field("detail.bucket.name to be a string"))?,
        key: object.string("key").ok_or(field("detail.object.key to be a string"))?,
        size: object.number("size"),
        created: event.string("detail-type").as_deref() == Some("Object Created"),
    })
}

/// CloudTrail's own SNS message: one bucket, plain keys.
pub(super) fn of_cloudtrail(message: &Members<'_>) -> Result<Vec<Named>, TriggerError> {
    let field = |expected| TriggerError::Field { within: "CloudTrail notification", expected };
    let bucket = message.string("s3Bucket").ok_or(field("s3Bucket to be a string"))?;
    let keys = message.array("s3ObjectKey").ok_or(field("s3ObjectKey to be an array"))?;
    let named = |key: &&serde_json::value::RawValue| {
        let key = serde_json::from_str(key.get()).map_err(|_| field("s3ObjectKey to hold strings"))?;
        Ok(Named { bucket: bucket.clone(), key, size: None, created: true })
    };
    keys.iter().map(named).collect()
}

/// Our own replay of one object: its key is plain.
pub(super) fn of_replay(event: &Members<'_>) -> Result<Named, TriggerError> {
    let field = |expected| TriggerError::Field { within: "replay", expected };
    Ok(Named {
        bucket: event.string("bucket").ok_or(field("bucket to be a string"))?,
        key: event.string("key").ok_or(field("key to be a string"))?,
        size: None,
        created: true,
    })
}

/// `+` is a space, then percent-decoded.
fn form_decoded(key: &str) -> Option<String> {
    percent_decode_str(&key.replace('+', " ")).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
