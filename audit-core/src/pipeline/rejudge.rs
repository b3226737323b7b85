//! A quarantined record, judged once more from what was kept of it.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::{AccessEvent, Backend, Spellings, Value};
use crate::policy::{MeteringPolicy, QuarantineReason, Verdict};
use crate::quarantine::QuarantineEntry;
use crate::record::{Download, FieldError, Fields, Key, MeteringRecord, parse_bytes, parse_uuid};
use crate::source::{cloudtrail, minio};

/// What a person puts in the place of a record's own values; checked as those are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Corrections {
    /// A UUID.
    pub user: Option<String>,
    /// A UUID.
    pub collection: Option<String>,
    /// Text.
    pub item: Option<String>,
    /// A decimal number.
    pub bytes: Option<String>,
    /// `YYYY-MM-DDTHH:MM:SSZ`.
    pub timestamp: Option<String>,
}

impl Corrections {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// # Errors
    /// [`FieldError`] of the first that no record could hold.
    pub fn check(&self) -> Result<(), FieldError> {
        let nil = uuid::Uuid::nil();
        let any = format!("{nil}|{nil}|item|2025-01-01T00:00:00Z|0|minio").parse()?;
        self.applied(any).map(drop)
    }

    fn applied(&self, mut record: MeteringRecord) -> Result<MeteringRecord, FieldError> {
        if let Some(user) = &self.user {
            record.user_id = parse_uuid(user, "userId")?;
        }
        if let Some(collection) = &self.collection {
            record.collection_id = parse_uuid(collection, "collectionId")?;
        }
        if let Some(item) = &self.item {
            record.item_id = item.clone().try_into()?;
        }
        if let Some(bytes) = &self.bytes {
            record.bytes = parse_bytes(bytes)?;
        }
        if let Some(timestamp) = &self.timestamp {
            record.timestamp = timestamp.clone().try_into()?;
        }
        Ok(record)
    }

    fn apply<'a>(&'a self, event: &mut AccessEvent<'a>) {
        let ids = &mut event.ids;
        let pairs = [(&mut ids.user, &self.user), (&mut ids.collection, &self.collection), (&mut ids.item, &self.item)];
        for (own, correction) in pairs {
            if let Some(text) = correction {
                let mut only = Spellings::default();
                only.offer(Cow::Borrowed(""), Value::of_text(Cow::Borrowed(text)));
                *own = only;
            }
        }
        if let Some(bytes) = &self.bytes {
            event.bytes = Value::NotText(Cow::Borrowed(bytes.as_bytes()));
        }
        if let Some(timestamp) = &self.timestamp {
            event.time = Value::of_text(Cow::Borrowed(timestamp));
        }
    }
}

/// The fields by which the sources' records are told apart.
#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow, rename = "eventSource")]
    event_source: Option<&'a RawValue>,
    #[serde(borrow)]
    api: Option<&'a RawValue>,
    backend: Option<Backend>,
}

/// Where the record of `entry` came from; `None` where too little of it was kept.
fn backend(entry: &QuarantineEntry) -> Option<Backend> {
    let shape: Shape<'_> = serde_json::from_str(entry.record.get()).ok()?;
    match (entry.reason, shape) {
        (QuarantineReason::Rejected, shape) => shape.backend,
        (_, Shape { event_source: Some(_), .. }) => Some(Backend::AwsS3),
        (_, Shape { api: Some(_), .. }) => Some(Backend::Minio),
        (_, Shape { .. }) => None,
    }
}

/// What marks the download of `entry` as dealt with, whatever copy of it was; `None` where nothing tells its copies.
#[must_use]
pub fn download_key(entry: &QuarantineEntry) -> Option<Key> {
    Some(Key::new("metering", backend(entry)?, entry.id.as_deref()?))
}

/// What marks this one line as dealt with, but no copy of it.
#[must_use]
pub fn line_key(entry: &QuarantineEntry) -> Key {
    let QuarantineEntry { reason, detail: _, source, id: _, seen_at, record } = entry;
    let line = format!("{}\0{source}\0{seen_at}\0{}", reason.name(), record.get());
    Key::new("quarantine", Backend::Minio, &line)
}

/// Judges the record of `entry` again, with `corrections` in the place of its own values.
#[must_use]
pub fn judge(entry: &QuarantineEntry, corrections: &Corrections, policy: &MeteringPolicy) -> Verdict {
    let stays = |detail| Verdict::Quarantined(entry.reason, detail);
    let Some((origin, number)) = entry.source.rsplit_once('#') else { return stays("expected ORIGIN#N as source") };
    let Ok(number) = number.parse() else { return stays("expected ORIGIN#N as source") };
    let origin: Arc<str> = origin.into();
    let Some(backend) = backend(entry) else { return stays("too little of the record was kept") };
    let raw = entry.record.get();
    if entry.reason == QuarantineReason::Rejected {
        let record = serde_json::from_str::<Fields<'_>>(raw).ok().map(MeteringRecord::from);
        let record = record.and_then(|record| corrections.applied(record).ok());
        return match record.zip(entry.id.clone()) {
            Some((record, identity)) => Verdict::Download(Download { identity, record, origin, number }),
            None => stays("expected a metering record and its id"),
        };
    }
    let event = match backend {
        Backend::AwsS3 => cloudtrail::event(raw.as_bytes(), &policy.params).ok(),
        Backend::Minio => minio::event(raw.as_bytes(), &policy.params).ok(),
    };
    let Some(mut event) = event else { return stays("expected a record that can be read") };
    corrections.apply(&mut event);
    policy.classify(&event, &origin, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "0b5f1c2a-6c1e-4b7e-9c55-1d5e2f3a4b6c";
    const OTHER: &str = "2d6c7e90-11aa-4f0b-8a55-6f7e8d9c0b1a";

    fn entry(reason: QuarantineReason, record: &str) -> QuarantineEntry {
        QuarantineEntry {
            reason,
            detail: String::new(),
            source: "s3://bucket/key#7".into(),
            id: Some("event-1".into()),
            seen_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            record: RawValue::from_string(record.to_owned()).unwrap(),
        }
    }

    fn told(entry: &QuarantineEntry, corrections: &Corrections) -> String {
        match judge(entry, corrections, &MeteringPolicy::default()) {
            Verdict::Download(download) => {
                assert_eq!(download_key(entry), Some(download.key()));
                format!("{} {} {}", download.source(), download.identity, download.record)
            }
            Verdict::Skipped(reason) => reason.name().to_owned(),
            Verdict::Quarantined(reason, _) => reason.name().to_owned(),
        }
    }

    #[test]
    fn each_kind_of_record_is_judged_again_and_corrected() {
        let cloudtrail = format!(
            r#"{{"eventSource":"s3.amazonaws.com","eventName":"GetObject","eventTime":"2025-10-27T10:12:30Z","eventID":"event-1",
            "requestParameters":{{"X-Amz-Expires":"300","userId":"x","x-userId":"y","collectionId":"{OTHER}","itemId":"i"}},
            "additionalEventData":{{"AuthenticationMethod":"QueryString","bytesTransferredOut":5}}}}"#
        );
        let minio = format!(
            r#"{{"deploymentid":"d","requestID":"r","time":"2025-10-27T10:12:30Z","trigger":"incoming",
            "api":{{"name":"GetObject","bucket":"b","object":"o","statusCode":200,"tx":5}},
            "requestQuery":{{"X-Amz-Signature":"[removed]","userId":"x","collectionId":"{OTHER}","itemId":"i"}}}}"#
        );
        let rejected = format!(
            r#"{{"userId":"{OTHER}","collectionId":"{OTHER}","itemId":"i","timestamp":"2025-10-27T10:12:30Z","bytes":5,"backend":"aws_s3"}}"#
        );
        let user = Corrections { user: Some(USER.into()), ..Corrections::default() };
        let none = Corrections::default();
        let line = |user: &str, backend: &str| format!("{user}|{OTHER}|i|2025-10-27T10:12:30Z|5|{backend}");

        let own = entry(QuarantineReason::ConflictingIds, &cloudtrail);
        assert_eq!(told(&own, &none), "conflicting_ids");
        assert_eq!(told(&own, &user), format!("s3://bucket/key#7 event-1 {}", line(USER, "aws_s3")));

        let mut own = entry(QuarantineReason::InvalidUserId, &minio);
        own.id = Some("d/r/b/o".into());
        assert_eq!(told(&own, &none), "invalid_user_id");
        assert_eq!(told(&own, &user), format!("s3://bucket/key#7 d/r/b/o {}", line(USER, "minio")));
        let bytes = Corrections { bytes: Some("9".into()), ..user.clone() };
        assert!(told(&own, &bytes).ends_with("|9|minio"));

        let own = entry(QuarantineReason::Rejected, &rejected);
        assert_eq!(told(&own, &none), format!("s3://bucket/key#7 event-1 {}", line(OTHER, "aws_s3")));
        assert_eq!(told(&own, &user), format!("s3://bucket/key#7 event-1 {}", line(USER, "aws_s3")));

        for kept in [r#""{\"torn""#, "5", "{}"] {
            assert_eq!(told(&entry(QuarantineReason::Malformed, kept), &user), "malformed");
        }
    }

    #[test]
    fn corrections_are_checked_as_records_are() {
        let item = Corrections { item: Some("a|b".into()), ..Corrections::default() };
        let user = Corrections { user: Some("nobody".into()), ..Corrections::default() };
        assert!(Corrections::default().check().is_ok());
        assert_eq!(item.check(), Err(FieldError::Item));
        assert_eq!(user.check(), Err(FieldError::Uuid("userId")));
    }
}
