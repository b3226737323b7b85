//! Records kept for a person to look at: each with its reason, where it stood, and its text without credentials.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::policy::QuarantineReason;
use crate::record::Download;

/// A record of some origin that may be a download but cannot be billed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Why.
    pub reason: QuarantineReason,
    /// Why, in words: what was expected, or what the resource server said.
    pub detail: String,
    /// Its number within its origin, from 1.
    pub number: u64,
    /// What makes it the same record elsewhere, where it has anything of the kind.
    pub id: Option<String>,
    /// Its JSON text, credentials removed: what [`redact::record`](crate::redact::record) gives.
    pub record: String,
}

/// A line of a quarantine file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QuarantineEntry {
    /// Why.
    pub reason: QuarantineReason,
    /// Why, in words.
    pub detail: String,
    /// `s3://BUCKET/KEY#N` or `request:ID#N`.
    pub source: String,
    /// What makes it the same record elsewhere.
    pub id: Option<String>,
    /// When it was quarantined.
    pub seen_at: Timestamp,
    /// The record; a string where it could not be parsed.
    pub record: Box<RawValue>,
}

impl Quarantined {
    /// The line for this record of `origin` (`s3://BUCKET/KEY`, `request:ID`).
    ///
    /// # Errors
    /// When `record` is no JSON text on one line.
    pub fn entry(self, origin: &str, seen_at: Timestamp) -> Result<QuarantineEntry, serde_json::Error> {
        let source = format!("{origin}#{}", self.number);
        let Self { reason, detail, id, record, number: _ } = self;
        Ok(QuarantineEntry { reason, detail, source, id, seen_at, record: RawValue::from_string(record)? })
    }
}

impl QuarantineEntry {
    /// The line for a download that the resource server refused, in its own `words`.
    ///
    /// # Errors
    /// None in practice: a metering record is always text.
    pub fn rejected(download: &Download, words: &str, seen_at: Timestamp) -> Result<Self, serde_json::Error> {
        Ok(Self {
            reason: QuarantineReason::Rejected,
            detail: words.to_owned(),
            source: download.source(),
            id: Some(download.identity.clone()),
            seen_at,
            record: serde_json::value::to_raw_value(&download.record.fields())?,
        })
    }
}
