//! What was found in an object waits here until the object was read to its end and found good: compactly, in memory at
//! first, then in a temporary file.

use std::borrow::Cow;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tempfile::SpooledTempFile;

use crate::analytics::Read as Visit;
use crate::quarantine::Quarantined;
use crate::record::{Download, MeteringRecord};

/// Small pieces are joined to this many bytes before they go to memory or file, and read back likewise.
const BUFFER_BYTES: usize = 64 << 10;

/// Something found in an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A download to bill, not yet checked for duplicates.
    Download(Download),
    /// A record to quarantine.
    Quarantined(Quarantined),
    /// A read for the dashboard, billed or not.
    Read(Visit),
}

/// An item as it waits: the origin, which all share, left out.
#[derive(Serialize, Deserialize)]
enum Frame<'a> {
    Download { identity: Cow<'a, str>, record: Cow<'a, MeteringRecord>, number: u64 },
    Quarantined(Cow<'a, Quarantined>),
    Read(Cow<'a, Visit>),
}

/// Takes what is found while an object is being read.
#[derive(Debug)]
pub struct Collector {
    origin: Arc<str>,
    frames: BufWriter<SpooledTempFile>,
    frame: Vec<u8>,
    downloads: u64,
    quarantined: u64,
    reads: u64,
}

impl Collector {
    /// For the object `origin`, keeping about `memory_bytes` in memory.
    #[must_use]
    pub fn new(origin: &Arc<str>, memory_bytes: usize) -> Self {
        Self {
            origin: Arc::clone(origin),
            frames: BufWriter::with_capacity(BUFFER_BYTES, SpooledTempFile::new(memory_bytes)),
            frame: Vec::new(),
            downloads: 0,
            quarantined: 0,
            reads: 0,
        }
    }

    /// Keeps a download of this origin.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub fn download(&mut self, download: &Download) -> io::Result<()> {
        self.downloads += 1;
        self.keep(&Frame::Download {
            identity: Cow::Borrowed(&download.identity),
            record: Cow::Borrowed(&download.record),
            number: download.number,
        })
    }

    /// Keeps a record to quarantine.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub fn quarantined(&mut self, record: &Quarantined) -> io::Result<()> {
        self.quarantined += 1;
        self.keep(&Frame::Quarantined(Cow::Borrowed(record)))
    }

    /// Keeps a read for the dashboard.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub fn read(&mut self, read: &Visit) -> io::Result<()> {
        self.reads += 1;
        self.keep(&Frame::Read(Cow::Borrowed(read)))
    }

    fn keep(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.frame);
        self.frame = postcard::to_extend(frame, bytes).map_err(io::Error::other)?;
        self.frames.write_all(&(self.frame.len() as u64).to_le_bytes())?;
        self.frames.write_all(&self.frame)?;
        self.frame.clear();
        Ok(())
    }

    /// Hands out what was found, in the order it was found.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub fn finish(self) -> io::Result<Found> {
        let mut frames = self.frames.into_inner().map_err(io::IntoInnerError::into_error)?;
        frames.rewind()?;
        Ok(Found {
            origin: self.origin,
            frames: BufReader::with_capacity(BUFFER_BYTES, frames),
            frame: self.frame,
            downloads: self.downloads,
            quarantined: self.quarantined,
            reads: self.reads,
            left: self.downloads + self.quarantined + self.reads,
        })
    }
}

/// What was found in an object that is good to its end: an iterator that reads from a file, so not for an async thread.
#[derive(Debug)]
pub struct Found {
    origin: Arc<str>,
    frames: BufReader<SpooledTempFile>,
    frame: Vec<u8>,
    downloads: u64,
    quarantined: u64,
    reads: u64,
    left: u64,
}

impl Found {
    /// The object, as `s3://BUCKET/KEY`, or what else it was.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How many downloads were found, duplicates included.
    #[must_use]
    pub fn downloads(&self) -> u64 {
        self.downloads
    }

    /// How many records are to be quarantined.
    #[must_use]
    pub fn quarantined(&self) -> u64 {
        self.quarantined
    }

    /// How many reads are for the dashboard.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads
    }

    /// Starts over with the first item.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn rewind(&mut self) -> io::Result<()> {
        self.frames.rewind()?;
        self.left = self.downloads + self.quarantined + self.reads;
        Ok(())
    }

    /// Starts over with the first item, and waits on disk rather than in memory.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub fn park(&mut self) -> io::Result<()> {
        self.rewind()?;
        self.frames.get_mut().roll()
    }

    fn read(&mut self) -> io::Result<Item> {
        let mut len = [0; 8];
        self.frames.read_exact(&mut len)?;
        self.frame.resize(usize::try_from(u64::from_le_bytes(len)).map_err(io::Error::other)?, 0);
        self.frames.read_exact(&mut self.frame)?;
        Ok(match postcard::from_bytes(&self.frame).map_err(io::Error::other)? {
            Frame::Download { identity, record, number } => Item::Download(Download {
                identity: identity.into_owned(),
                record: record.into_owned(),
                origin: Arc::clone(&self.origin),
                number,
            }),
            Frame::Quarantined(record) => Item::Quarantined(record.into_owned()),
            Frame::Read(read) => Item::Read(read.into_owned()),
        })
    }
}

impl Iterator for Found {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<io::Result<Item>> {
        self.left = self.left.checked_sub(1)?;
        let item = self.read();
        if item.is_err() {
            self.left = 0;
        }
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, usize::try_from(self.left).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Backend;
    use crate::policy::QuarantineReason;

    fn download(number: u64) -> Download {
        Download {
            identity: format!("event-{number}"),
            record: MeteringRecord {
                user_id: uuid::Uuid::from_u128(u128::from(number)),
                collection_id: uuid::Uuid::max(),
                item_id: format!("item {number}").try_into().unwrap(),
                timestamp: "2025-10-27T10:12:30Z".to_owned().try_into().unwrap(),
                bytes: number,
                backend: Backend::AwsS3,
            },
            origin: "s3://bucket/key".into(),
            number,
        }
    }

    #[test]
    fn comes_back_in_order_from_memory_and_from_a_file() {
        for memory_bytes in [usize::MAX, 100_000, 0] {
            let mut collector = Collector::new(&"s3://bucket/key".into(), memory_bytes);
            let broken = Quarantined {
                reason: QuarantineReason::Malformed,
                detail: "expected a comma".into(),
                number: 3,
                id: None,
                record: "\"{\"".repeat(100_000),
            };
            for number in 0..3000 {
                collector.download(&download(number)).unwrap();
            }
            collector.quarantined(&broken).unwrap();
            collector.read(&crate::analytics::samples::read()).unwrap();
            collector.download(&download(3000)).unwrap();
            let found = collector.finish().unwrap();
            assert_eq!((found.downloads(), found.quarantined(), found.reads()), (3001, 1, 1));
            let items: Vec<Item> = found.map(Result::unwrap).collect();
            let mut expected: Vec<Item> = (0..3001).map(|number| Item::Download(download(number))).collect();
            expected.insert(3000, Item::Quarantined(broken));
            expected.insert(3001, Item::Read(crate::analytics::samples::read()));
            assert!(items == expected, "{memory_bytes}");
        }
    }
}
