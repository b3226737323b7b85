//! A file of entries, gzip or plain, read as a stream.

use std::io::{self, Read};
use std::sync::Arc;

use super::{Outcome, entries, judge};
use crate::policy::MeteringPolicy;
use crate::source::cloudtrail::LogFile;
use crate::source::found::Collector;
use crate::source::gzip::Text;
use crate::source::{ObjectError, ReadLimits};

/// Reads the file `origin` of audit entries to its end; `None` when it is empty or a health check (`{}`, `[]`), as a POST of
/// the same text is. Holds one entry at a time. Blocks on `input`.
///
/// # Errors
/// When the file cannot be read to its end.
pub fn read_file(
    input: impl Read,
    origin: &Arc<str>,
    policy: &MeteringPolicy,
    limits: &ReadLimits,
) -> Result<Option<LogFile>, ObjectError> {
    let Some(text) = Text::open(input, limits.max_text_bytes)? else { return Ok(None) };
    let mut solid = Solid { text, bytes: 0 };
    let mut collector = Collector::new(origin, limits.found_memory_bytes);
    let mut records = 0;
    let mut skipped = std::collections::BTreeMap::new();
    let mut quarantined = false;
    let mut entries = entries(&mut solid);
    while let Some(entry) = entries.next().map_err(object_error)? {
        records += 1;
        match judge(&entry, origin, policy) {
            Outcome::Download(download) => collector.download(&download).map_err(ObjectError::Keep)?,
            Outcome::Skipped(reason) => *skipped.entry(reason).or_default() += 1,
            Outcome::Quarantined(record) => {
                quarantined = true;
                collector.quarantined(&record).map_err(ObjectError::Keep)?;
            }
        }
    }
    // Two characters that are well formed can be nothing but `{}` or `[]`.
    if solid.bytes <= 2 && !quarantined {
        return Ok(None);
    }
    Ok(Some(LogFile { records, skipped, found: collector.finish().map_err(ObjectError::Keep)? }))
}

/// Counts what is not white space, as far as three bytes.
struct Solid<R: Read> {
    text: Text<R>,
    bytes: usize,
}

impl<R: Read> Read for Solid<R> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let len = self.text.read(piece)?;
        let read = piece.get(..len).unwrap_or_default();
        let solid = read.iter().filter(|byte| !byte.is_ascii_whitespace());
        self.bytes += solid.take(3_usize.saturating_sub(self.bytes)).count();
        Ok(len)
    }
}

/// What [`Text`] said, out of its wrapping.
fn object_error(error: io::Error) -> ObjectError {
    error.downcast::<ObjectError>().unwrap_or_else(ObjectError::Io)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::source::found::Item;
    use crate::source::minio::read;

    fn file(input: &[u8]) -> Result<Option<LogFile>, ObjectError> {
        read_file(input, &"file".into(), &MeteringPolicy::default(), &ReadLimits::default())
    }

    #[test]
    fn a_file_counts_as_a_post_of_the_same_text_does() {
        let entry =
            r#"{"api":{"name":"GetObject","statusCode":200},"requestQuery":{"X-Amz-Signature":"s","itemId":"i"}}"#;
        for text in [entry.to_owned(), format!("{{}}\n{entry}\n"), format!("[{entry},5]"), format!("{entry}\n{{\"")] {
            let reading = read(text.as_bytes(), &"file".into(), &MeteringPolicy::default());
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(text.as_bytes()).unwrap();
            for input in [text.as_bytes(), &gzip.finish().unwrap()] {
                let file = file(input).unwrap().unwrap();
                assert_eq!((file.records, &file.skipped), (reading.records, &reading.skipped), "{text}");
                let items: Vec<Item> = file.found.map(Result::unwrap).collect();
                let quarantined: Vec<Item> = reading.quarantined.iter().cloned().map(Item::Quarantined).collect();
                assert_eq!(items, quarantined, "{text}");
            }
        }
    }

    #[test]
    fn probes_hold_nothing_and_other_short_texts_do() {
        for probe in ["", " \n", "{}", "{ }\n", "\u{feff}{}", "[]"] {
            assert!(file(probe.as_bytes()).unwrap().is_none(), "{probe:?}");
        }
        for text in ["[", "5", "{", "12", "{}{}"] {
            assert!(file(text.as_bytes()).unwrap().is_some(), "{text:?}");
        }
    }

    #[test]
    fn a_file_that_breaks_off_fails_and_a_cap_holds() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&b"{}\n".repeat(1000)).unwrap();
        let gzip = gzip.finish().unwrap();
        let error = file(&gzip[..gzip.len() - 1]).unwrap_err();
        assert!(matches!(error, ObjectError::BadContent { .. }), "{error:?}");
        let limits = ReadLimits { max_text_bytes: 100, ..ReadLimits::default() };
        let error = read_file(&gzip[..], &"file".into(), &MeteringPolicy::default(), &limits).unwrap_err();
        assert!(matches!(error, ObjectError::TooLarge { limit: 100 }), "{error:?}");
    }
}
