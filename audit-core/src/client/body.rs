//! A request's body that knows how much of it the connection has taken.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Small enough that a connection which breaks early leaves pieces behind: that is the proof that the server lacks them.
const PIECE_BYTES: usize = 16 * 1024;

pub(super) struct Watched {
    left: Bytes,
    all: Arc<AtomicBool>,
}

/// Whether the last piece was taken.
pub(super) struct HandedOver(Arc<AtomicBool>);

impl HandedOver {
    pub(super) fn all(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Watched {
    pub(super) fn new(body: Bytes) -> (Self, HandedOver) {
        // Of an empty body nothing is missing as soon as the head is out, and nobody sees that.
        let all = Arc::new(AtomicBool::new(body.is_empty()));
        (Self { left: body, all: Arc::clone(&all) }, HandedOver(all))
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let len = self.left.len().min(PIECE_BYTES);
        let piece = self.left.split_to(len);
        if self.left.is_empty() {
            self.all.store(true, Ordering::SeqCst);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}
