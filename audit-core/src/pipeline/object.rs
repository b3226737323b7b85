//! One log file in S3: streamed from the SDK to the reader's blocking thread, a few pieces ahead at most.

use std::io::{self, Read};
use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use crate::aws::{LOG_FILE, advice};
use crate::causes::last_cause;
use crate::policy::MeteringPolicy;
use crate::source::cloudtrail::{self, LogFile};
use crate::source::{ObjectError, ReadLimits};

/// Pieces that wait between the network and the reader.
const PIECES_AHEAD: usize = 4;

/// Why a log file could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// S3 refused or could not be reached; the text says what to mend where that is known.
    #[error("{0}")]
    Store(String),
    /// What S3 gave is no good log file, or stopped half-way.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The reader itself broke.
    #[error("the reader broke: {0}")]
    Reader(String),
}

/// Reads `s3://bucket/key` to its end; `None` when it is empty.
pub(super) async fn fetch(
    s3: &aws_sdk_s3::Client,
    (bucket, key): (&str, &str),
    policy: MeteringPolicy,
    limits: ReadLimits,
) -> Result<Option<LogFile>, FetchError> {
    let body = match s3.get_object().bucket(bucket).key(key).send().await {
        Ok(object) => object.body,
        Err(error) => return Err(FetchError::Store(advice(&error, &LOG_FILE))),
    };
    let origin: Arc<str> = format!("s3://{bucket}/{key}").into();
    read(body, origin, policy, limits).await
}

async fn read(
    mut body: ByteStream,
    origin: Arc<str>,
    policy: MeteringPolicy,
    limits: ReadLimits,
) -> Result<Option<LogFile>, FetchError> {
    let (pieces, input) = mpsc::channel(PIECES_AHEAD);
    let reader = tokio::task::spawn_blocking(move || {
        cloudtrail::read(Pieces { input, current: Bytes::new(), ended: false }, &origin, &policy, &limits)
    });
    loop {
        let piece = match body.next().await {
            Some(Ok(piece)) => Ok(piece),
            Some(Err(error)) => Err(io::Error::other(format!("S3 stopped sending: {}", last_cause(&error)))),
            None => Ok(Bytes::new()),
        };
        let last = piece.as_ref().map_or(true, Bytes::is_empty);
        // The reader may have given up on broken content; its answer says so.
        if pieces.send(piece).await.is_err() || last {
            break;
        }
    }
    drop(pieces);
    let file = reader.await.map_err(|error| FetchError::Reader(error.to_string()))?;
    Ok(file?)
}

/// The pieces of a body as a blocking reader. An empty piece is the end; pieces that stop without one broke off.
struct Pieces {
    input: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
    ended: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() && !self.ended {
            self.current = self.input.blocking_recv().ok_or(io::ErrorKind::UnexpectedEof)??;
            self.ended = self.current.is_empty();
        }
        let len = buffer.len().min(self.current.len());
        self.current.split_to(len).copy_to_slice(buffer.get_mut(..len).unwrap_or_default());
        Ok(len)
    }
}
