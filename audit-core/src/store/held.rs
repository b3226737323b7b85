//! A batch whose outcome is unknown, as it is kept.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LARGEST, StoreError};
use crate::ledger::BatchId;
use crate::record::Download;

/// A batch that was sent, outcome unknown, with what is needed to settle it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBatch {
    /// Its name: in the ledger, in `inputs.title`, and of its file.
    pub batch: BatchId,
    /// When it was first held.
    pub held_at: Timestamp,
    /// What happened, in a few words without secrets.
    pub what: String,
    /// Its records.
    pub lines: Vec<HeldLine>,
}

/// One record of a held batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLine {
    /// The line that was sent.
    pub line: String,
    /// The ledger's key, in hexadecimal digits.
    pub key: String,
    /// What makes two records one download.
    pub identity: String,
    /// `s3://BUCKET/KEY#N` or `request:ID#N`.
    pub source: String,
}

impl HeldLine {
    fn download(&self) -> Option<Download> {
        let (origin, number) = self.source.rsplit_once('#')?;
        let download = Download {
            identity: self.identity.clone(),
            record: self.line.parse().ok()?,
            origin: origin.into(),
            number: number.parse().ok()?,
        };
        (download.key().to_hex() == self.key).then_some(download)
    }
}

impl From<&Download> for HeldLine {
    fn from(download: &Download) -> Self {
        Self {
            line: download.record.to_string(),
            key: download.key().to_hex(),
            identity: download.identity.clone(),
            source: download.source(),
        }
    }
}

impl HeldBatch {
    /// The batch's downloads, in their order.
    ///
    /// # Errors
    /// When a line is not what was kept: somebody has edited it.
    pub fn downloads(&self) -> Result<Vec<Download>, StoreError> {
        let edited = |(index, line): (usize, &HeldLine)| {
            let what =
                format_args!("record {}: expected line, key and identity as they were kept", index + 1).to_string();
            line.download().ok_or_else(|| Self::error(&self.batch.to_string(), "read", &what))
        };
        self.lines.iter().enumerate().map(edited).collect()
    }

    /// Adds what `self` has beyond `kept`, whose story is the first.
    pub(super) fn merged_into(self, mut kept: Self) -> Self {
        for line in self.lines {
            if !kept.lines.iter().any(|own| own.key == line.key) {
                kept.lines.push(line);
            }
        }
        kept
    }

    pub(super) fn to_json(&self, place: &str) -> Result<Vec<u8>, StoreError> {
        let error = |error: serde_json::Error| Self::error(place, "write", &error);
        let mut json = serde_json::to_vec_pretty(self).map_err(error)?;
        json.push(b'\n');
        Ok(json)
    }

    pub(super) fn from_json(json: &[u8], place: &str) -> Result<Self, StoreError> {
        if u64::try_from(json.len()).is_ok_and(|len| len > LARGEST) {
            return Err(Self::error(place, "read", &format_args!("expected at most {LARGEST} bytes")));
        }
        // The parser's own words could hold a value.
        let position = |error: serde_json::Error| {
            let (line, column) = (error.line(), error.column());
            Self::error(place, "read", &format_args!("expected a held batch, see line {line} column {column}"))
        };
        serde_json::from_slice(json).map_err(position)
    }

    fn error(place: &str, action: &'static str, reason: &dyn std::fmt::Display) -> StoreError {
        StoreError { place: place.to_owned(), action, reason: reason.to_string() }
    }
}
