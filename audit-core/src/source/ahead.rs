//! Inflating on one thread while another reads what was inflated: the inflater is what a log file's reading waits for.
//!
//! Short texts, which most log files are, never start the second thread.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use super::ObjectError;
use super::gzip::Text;

/// A piece of text that goes from thread to thread, in bytes; small enough to stay in a core's cache.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that are inflated and wait.
const PIECES_AHEAD: usize = 2;

/// Where text comes from, piece by piece.
pub(super) trait Pull {
    /// Puts the next piece of text into `piece` (not empty) and says how long it is; 0 at the end.
    fn pull(&mut self, piece: &mut [u8]) -> Result<usize, ObjectError>;

    /// Offset of the next byte that `pull` gives, in bytes of text.
    fn at(&self) -> u64;
}

/// Text of which the next pieces are inflated elsewhere.
#[derive(Debug)]
pub(super) struct Ahead {
    piece: Piece,
    taken: usize,
    at: u64,
    /// `None`: all of the text is in `piece`.
    lane: Option<Lane>,
}

/// A piece of text, and what came after it where it is the last.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    end: Option<Result<(), ObjectError>>,
}

/// The way between the threads; buffers go back to be filled again.
#[derive(Debug)]
struct Lane {
    full: Receiver<Piece>,
    empty: Sender<Vec<u8>>,
}

/// Calls `read` with the text inflated ahead of it.
pub(super) fn inflating<R: Read + Send, T>(mut text: Text<R>, read: impl FnOnce(Ahead) -> T) -> T {
    let at = text.at();
    let piece = fill(&mut text, vec![0; PIECE_BYTES]);
    if piece.end.is_some() {
        return read(Ahead { piece, taken: 0, at, lane: None });
    }
    let (full_in, full) = sync_channel(PIECES_AHEAD);
    let (empty, empty_out) = channel();
    thread::scope(|scope| {
        scope.spawn(move || inflate(&mut text, &full_in, &empty_out));
        read(Ahead { piece, taken: 0, at, lane: Some(Lane { full, empty }) })
    })
}

/// Inflates until the end, or until nobody reads on.
fn inflate<R: Read>(text: &mut Text<R>, full: &SyncSender<Piece>, empty: &Receiver<Vec<u8>>) {
    loop {
        let mut buffer = empty.try_recv().unwrap_or_default();
        buffer.resize(PIECE_BYTES, 0);
        let piece = fill(text, buffer);
        let last = piece.end.is_some();
        if full.send(piece).is_err() || last {
            return;
        }
    }
}

fn fill<R: Read>(text: &mut Text<R>, mut buffer: Vec<u8>) -> Piece {
    let mut len = 0;
    let mut end = None;
    while let (None, Some(room)) = (&end, buffer.get_mut(len..).filter(|room| !room.is_empty())) {
        match text.pull(room) {
            Ok(0) => end = Some(Ok(())),
            Ok(more) => len += more,
            Err(error) => end = Some(Err(error)),
        }
    }
    buffer.truncate(len);
    Piece { bytes: buffer, end }
}

impl Pull for Ahead {
    fn pull(&mut self, into: &mut [u8]) -> Result<usize, ObjectError> {
        loop {
            let rest = self.piece.bytes.get(self.taken..).unwrap_or_default();
            if !rest.is_empty() {
                let len = rest.len().min(into.len());
                if let (Some(from), Some(into)) = (rest.get(..len), into.get_mut(..len)) {
                    into.copy_from_slice(from);
                }
                self.taken += len;
                self.at += len as u64;
                return Ok(len);
            }
            match self.piece.end.take() {
                Some(Err(error)) => return Err(error),
                Some(Ok(())) => {
                    self.piece.end = Some(Ok(()));
                    return Ok(0);
                }
                None => self.next_piece()?,
            }
        }
    }

    fn at(&self) -> u64 {
        self.at
    }
}

impl Ahead {
    fn next_piece(&mut self) -> Result<(), ObjectError> {
        let broken = || ObjectError::Io(io::Error::other("the inflating thread stopped"));
        let lane = self.lane.as_ref().ok_or_else(broken)?;
        let next = lane.full.recv().map_err(|_| broken())?;
        let used = std::mem::replace(&mut self.piece, next);
        // The inflater may have ended; then nobody needs the buffer.
        let _unneeded = lane.empty.send(used.bytes);
        self.taken = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stutter(usize);

    impl Read for Stutter {
        fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
            let len = piece.len().min(self.0).min(1000);
            piece.iter_mut().take(len).for_each(|byte| *byte = b'x');
            self.0 -= len;
            Ok(len)
        }
    }

    fn read_all(len: usize, limit: u64) -> Result<u64, ObjectError> {
        let text = Text::open(Stutter(len), limit).unwrap().unwrap();
        inflating(text, |mut ahead| {
            let mut piece = vec![0; 777];
            while ahead.pull(&mut piece)? > 0 {}
            assert_eq!(ahead.pull(&mut piece)?, 0);
            Ok(ahead.at())
        })
    }

    #[test]
    fn gives_all_of_short_and_long_texts() {
        for len in [1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES + 3] {
            assert_eq!(read_all(len, u64::MAX).unwrap(), len as u64);
        }
    }

    #[test]
    fn an_error_comes_after_what_was_good() {
        let text = Text::open(Stutter(3 * PIECE_BYTES), 2 * PIECE_BYTES as u64).unwrap().unwrap();
        let (good, error) = inflating(text, |mut ahead| {
            let mut piece = vec![0; 1 << 20];
            loop {
                if let Err(error) = ahead.pull(&mut piece) {
                    return (ahead.at(), error);
                }
            }
        });
        assert!(matches!(error, ObjectError::TooLarge { .. }), "{error}");
        assert!(good > PIECE_BYTES as u64);
    }

    #[test]
    fn a_reader_that_gives_up_stops_the_inflater() {
        let text = Text::open(Stutter(usize::MAX), u64::MAX).unwrap().unwrap();
        inflating(text, |mut ahead| ahead.pull(&mut [0; 10]).unwrap());
    }
}
