//! Where what was found goes: records to standard output, records to look at to a file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use audit_core::clock::Clock;
use audit_core::quarantine::Quarantined;
use audit_core::record::Download;
use serde::Serialize;

/// How downloads are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// `userId|collectionId|itemId|timestamp|bytes|backend`
    Lines,
    /// One JSON object a line, with identity and source
    Jsonl,
}

/// A download as a JSON object.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DownloadObject<'a> {
    user_id: uuid::Uuid,
    collection_id: uuid::Uuid,
    item_id: &'a str,
    timestamp: &'a str,
    bytes: u64,
    backend: &'static str,
    id: &'a str,
    source: String,
}

/// Prints `download` as a line of its own.
pub(crate) fn print(download: &Download, format: Format, to: &mut impl Write) -> io::Result<()> {
    let record = &download.record;
    match format {
        Format::Lines => writeln!(to, "{record}"),
        Format::Jsonl => {
            let object = DownloadObject {
                user_id: record.user_id,
                collection_id: record.collection_id,
                item_id: record.item_id.as_ref(),
                timestamp: record.timestamp.as_ref(),
                bytes: record.bytes,
                backend: record.backend.name(),
                id: &download.identity,
                source: download.source(),
            };
            serde_json::to_writer(&mut *to, &object)?;
            writeln!(to)
        }
    }
}

/// The file of quarantined records, if one is wanted.
pub(crate) struct QuarantineFile(Option<(BufWriter<File>, Clock)>);

impl QuarantineFile {
    /// Opens `file` to append to it; only its owner may read it.
    pub(crate) fn open(file: Option<&Path>) -> io::Result<Self> {
        let Some(file) = file else { return Ok(Self(None)) };
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
        Ok(Self(Some((BufWriter::new(file), Clock::system()))))
    }

    /// Appends `record`, which was found in `origin`.
    pub(crate) fn write(&mut self, record: Quarantined, origin: &str) -> io::Result<()> {
        let Some((file, clock)) = &mut self.0 else { return Ok(()) };
        let entry = record.entry(origin, clock.now())?;
        serde_json::to_writer(&mut *file, &entry)?;
        writeln!(file)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), |(file, _)| file.flush())
    }
}
