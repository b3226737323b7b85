//! Quarantine files, a line at a time.

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use super::{LARGEST, StoreError};
use crate::quarantine::QuarantineEntry;

/// The lines of one quarantine file.
pub struct Lines {
    reader: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
    place: String,
    number: u64,
}

/// One line.
#[derive(Debug)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// What it holds; `None` where a crash tore it, or somebody edited it.
    pub entry: Option<QuarantineEntry>,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("place", &self.place).field("number", &self.number).finish_non_exhaustive()
    }
}

impl Lines {
    pub(super) fn new(reader: Box<dyn AsyncRead + Send + Unpin>, place: String) -> Self {
        Self { reader: BufReader::new(reader), place, number: 0 }
    }

    /// The next line that is not blank.
    ///
    /// # Errors
    /// When it cannot be read, or is over [`LARGEST`].
    pub async fn next(&mut self) -> Result<Option<Line>, StoreError> {
        let text = self.next_text().await?;
        Ok(text.map(|text| Line { number: self.number, entry: serde_json::from_slice(&text).ok() }))
    }

    pub(super) async fn next_text(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        loop {
            let mut line = Vec::new();
            let read = (&mut self.reader).take(LARGEST + 1).read_until(b'\n', &mut line).await;
            let read = read.map_err(|error| self.error(error.to_string()))?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if u64::try_from(read).is_ok_and(|read| read > LARGEST) {
                return Err(self.error(format!("line {}: expected at most {LARGEST} bytes", self.number)));
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }

    fn error(&self, reason: String) -> StoreError {
        StoreError { place: self.place.clone(), action: "read", reason }
    }
}
