//! CloudTrail log files: read as a stream, record by record, in memory that does not grow with the file.
//!
//! bytes → [text](super::gzip) → splitter (where each record starts and ends) → filter (which can be downloads at all) →
//! extract (their fields) → [policy](crate::policy) → [found](super::found).

mod block;
mod extent;
mod extract;
mod filter;
mod splitter;
mod tolerant;
mod window;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use extract::Fields;
use filter::Filter;
use splitter::{Record, Splitter};

use super::found::{Collector, Found};
use super::gzip::Text;
use super::{ObjectError, ReadLimits, ahead};
use crate::event::{AccessEvent, IdParams};
use crate::json::{Cursor, SyntaxError};
use crate::policy::{MeteringPolicy, QuarantineReason, SkipReason, Verdict};
use crate::quarantine::Quarantined;
use crate::redact;

/// Whether reads that nobody bills are looked at too, for analytics.
const VISITS: bool = false;

/// A log file that is good to its end.
#[derive(Debug)]
pub struct LogFile {
    /// Records in it: `skipped` and what was `found`.
    pub records: u64,
    /// Records with nothing to bill.
    pub skipped: BTreeMap<SkipReason, u64>,
    /// Downloads and records to quarantine.
    pub found: Found,
}

/// Reads the log file `origin` (gzip or plain) to its end; `None` when it is empty. Blocks on `input`.
///
/// # Errors
/// When the file cannot be read to its end and found good: [`ObjectError::is_transient`] tells whether to try again.
pub fn read(
    input: impl Read + Send,
    origin: &Arc<str>,
    policy: &MeteringPolicy,
    limits: &ReadLimits,
) -> Result<Option<LogFile>, ObjectError> {
    let Some(text) = Text::open(input, limits.max_text_bytes)? else { return Ok(None) };
    let filter = Filter::new(VISITS);
    ahead::inflating(text, |text| {
        let mut splitter = Splitter::new(text, &filter, limits);
        let mut reader = Reader::new(origin, policy, limits);
        let mut kept = Vec::new();
        while let Some(record) = splitter.next(&mut kept)? {
            reader.take(&record).map_err(ObjectError::Keep)?;
        }
        reader.finish(splitter.records()).map(Some)
    })
}

/// Reads a single record that came without a file, such as the `detail` of an EventBridge event.
///
/// # Errors
/// [`ObjectError::Keep`], for a record too large to wait in memory.
pub fn read_record(
    raw: &[u8],
    origin: &Arc<str>,
    policy: &MeteringPolicy,
    limits: &ReadLimits,
) -> Result<LogFile, ObjectError> {
    let raw = raw.trim_ascii();
    let mut reader = Reader::new(origin, policy, limits);
    reader
        .take(&Record { raw, quotes: &[], number: 1, wanted: true, passed_over: false })
        .map_err(ObjectError::Keep)?;
    reader.finish(1)
}

/// Reads one record, an object, as an event, whatever was done.
///
/// # Errors
/// When it is no such text.
pub fn event<'a>(raw: &'a [u8], params: &IdParams) -> Result<AccessEvent<'a>, SyntaxError> {
    Fields::read(Cursor::new(raw), params, VISITS).map(Fields::into_event)
}

/// Sorts the records of one file.
struct Reader<'p> {
    origin: Arc<str>,
    policy: &'p MeteringPolicy,
    skipped: BTreeMap<SkipReason, u64>,
    not_presigned: u64,
    collector: Collector,
}

impl<'p> Reader<'p> {
    fn new(origin: &Arc<str>, policy: &'p MeteringPolicy, limits: &ReadLimits) -> Self {
        Self {
            origin: Arc::clone(origin),
            policy,
            skipped: BTreeMap::new(),
            not_presigned: 0,
            collector: Collector::new(origin, limits.found_memory_bytes),
        }
    }

    fn finish(mut self, records: u64) -> Result<LogFile, ObjectError> {
        if self.not_presigned > 0 {
            *self.skipped.entry(SkipReason::NotPresignedGet).or_default() += self.not_presigned;
        }
        let found = self.collector.finish().map_err(ObjectError::Keep)?;
        Ok(LogFile { records, skipped: self.skipped, found })
    }

    fn take(&mut self, record: &Record<'_>) -> io::Result<()> {
        if record.raw.first() != Some(&b'{') {
            return self.malformed(record, "expected a JSON object".into());
        }
        if !record.wanted {
            self.not_presigned += 1;
            return Ok(());
        }
        if record.passed_over {
            return self.malformed(record, "larger than any record of a download".into());
        }
        let fields = match Fields::read(Cursor::with_quotes(record.raw, record.quotes), &self.policy.params, VISITS) {
            Ok(fields) => fields,
            Err(error) if tolerant::looks_like_presigned_get(record.raw) => {
                return self.malformed(record, error.to_string());
            }
            Err(_) => {
                self.not_presigned += 1;
                return Ok(());
            }
        };
        let not_utf8 = fields.not_utf8();
        let event = fields.into_event();
        match self.policy.classify(&event, &self.origin, record.number) {
            Verdict::Skipped(SkipReason::NotPresignedGet) => {
                self.not_presigned += 1;
                Ok(())
            }
            _ if not_utf8 => self.malformed(record, "expected UTF-8 in the fields that are read".into()),
            Verdict::Skipped(reason) => {
                *self.skipped.entry(reason).or_default() += 1;
                Ok(())
            }
            Verdict::Download(download) => self.collector.download(&download),
            Verdict::Quarantined(reason, detail) => self.quarantine(reason, detail.into(), event.identity, record),
        }
    }

    fn malformed(&mut self, record: &Record<'_>, detail: String) -> io::Result<()> {
        self.quarantine(QuarantineReason::Malformed, detail, None, record)
    }

    fn quarantine(
        &mut self,
        reason: QuarantineReason,
        detail: String,
        id: Option<String>,
        record: &Record<'_>,
    ) -> io::Result<()> {
        let (number, record) = (record.number, redact::record(record.raw));
        self.collector.quarantined(&Quarantined { reason, detail, number, id, record })
    }
}

#[cfg(test)]
mod tests;
