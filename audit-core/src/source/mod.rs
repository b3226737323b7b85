//! Bytes → access events: what each kind of audit trail looks like, and how it is read without trusting it.

mod ahead;
pub mod cloudtrail;
pub mod found;
pub mod gzip;
pub mod minio;

use std::io;

/// Why an object (log file) could not be read to its end. None of its records count.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The bytes stopped coming: worth another try.
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
    /// What was found has nowhere to wait: worth another try once there is room.
    #[error("cannot keep what was found in a temporary file: {0}")]
    Keep(#[source] io::Error),
    /// The content is broken, and will be at every try.
    #[error("byte {at} of the text: {what}")]
    BadContent {
        /// Offset in bytes, uncompressed.
        at: u64,
        /// What is wrong there, after which record, and what was expected.
        what: String,
    },
    /// More text than `MAX_DECOMPRESSED_BYTES`.
    #[error("more than {limit} bytes of text; expected at most MAX_DECOMPRESSED_BYTES")]
    TooLarge {
        /// The cap, in bytes.
        limit: u64,
    },
}

impl ObjectError {
    /// Whether the same object may be readable later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Io(_) | Self::Keep(_) => true,
            Self::BadContent { .. } | Self::TooLarge { .. } => false,
        }
    }
}

/// What reading one object may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// The most text in one object, in bytes after decompression (`MAX_DECOMPRESSED_BYTES`).
    pub max_text_bytes: u64,
    /// Text in memory at a time, in bytes, unless a single record is larger.
    pub buffer_bytes: usize,
    /// The largest record that is looked into, in bytes. A larger one is passed over, and quarantined if it may be a download.
    pub max_record_bytes: usize,
    /// What was found waits in memory up to this many bytes, beyond that in a temporary file.
    pub found_memory_bytes: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            max_text_bytes: 4 << 30,
            buffer_bytes: 512 << 10,
            max_record_bytes: 8 << 20,
            found_memory_bytes: 1 << 20,
        }
    }
}
