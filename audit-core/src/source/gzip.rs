//! The text of an object: inflated where its bytes are gzip, as it is where they are not, and never more than a cap.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

use super::ObjectError;

const COMPRESSED_BUFFER_BYTES: usize = 64 << 10;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// The text of an object, a leading byte-order mark left out.
#[derive(Debug)]
pub struct Text<R: Read> {
    body: Body<R>,
    /// The first bytes, read ahead to see what they are.
    head: io::Cursor<Vec<u8>>,
    inflated: u64,
    limit: u64,
}

#[derive(Debug)]
enum Body<R: Read> {
    Plain(BufReader<Input<R>>),
    Member(Box<GzDecoder<BufReader<Input<R>>>>),
    Ended,
}

impl<R: Read> Text<R> {
    /// Looks at the first bytes of `input`; `None` when there are none at all.
    ///
    /// # Errors
    /// When they cannot be read, are broken gzip, or are UTF-16.
    pub fn open(input: R, max_text_bytes: u64) -> Result<Option<Self>, ObjectError> {
        let mut input = Input { inner: input, ahead: io::Cursor::default(), taken: 0, failed: false };
        let start = read_ahead(GZIP_MAGIC.len(), |piece| input.read(piece)).map_err(ObjectError::Io)?;
        if start.is_empty() {
            return Ok(None);
        }
        let gzip = start == GZIP_MAGIC;
        input.taken = 0;
        input.ahead = io::Cursor::new(start);
        let input = BufReader::with_capacity(COMPRESSED_BUFFER_BYTES, input);
        let body = if gzip { Body::Member(Box::new(GzDecoder::new(input))) } else { Body::Plain(input) };
        let mut text = Self { body, head: io::Cursor::default(), inflated: 0, limit: max_text_bytes };
        let mut head = read_ahead(4, |piece| text.inflate(piece))?;
        match head.as_slice() {
            [0xfe, 0xff, ..] | [0xff, 0xfe, ..] | [0, _, ..] | [_, 0, ..] => {
                return Err(bad(0, "UTF-16 or UTF-32 text; expected UTF-8"));
            }
            _ => {}
        }
        if head.starts_with(&BYTE_ORDER_MARK) {
            head.drain(..BYTE_ORDER_MARK.len());
        }
        text.head = io::Cursor::new(head);
        Ok(Some(text))
    }

    /// Offset of the next byte that [`pull`](Self::pull) gives, in bytes of text.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.inflated - (self.head.get_ref().len() as u64 - self.head.position())
    }

    /// Puts the next piece of text into `piece` (not empty) and says how long it is; 0 at the end, which is told only when the
    /// compressed data was found good to its own end.
    ///
    /// # Errors
    /// When the input cannot be read, is broken gzip, or exceeds the cap.
    pub fn pull(&mut self, piece: &mut [u8]) -> Result<usize, ObjectError> {
        match self.head.read(piece) {
            Ok(0) | Err(_) => self.inflate(piece),
            Ok(len) => Ok(len),
        }
    }

    fn inflate(&mut self, piece: &mut [u8]) -> Result<usize, ObjectError> {
        // One byte more than allowed shows that there is more.
        let room = usize::try_from((self.limit - self.inflated).saturating_add(1)).unwrap_or(usize::MAX);
        let len = piece.len().min(room);
        let len = self.inflate_any(piece.get_mut(..len).unwrap_or_default())?;
        self.inflated += len as u64;
        if self.inflated > self.limit { Err(ObjectError::TooLarge { limit: self.limit }) } else { Ok(len) }
    }

    fn inflate_any(&mut self, piece: &mut [u8]) -> Result<usize, ObjectError> {
        loop {
            let member = match &mut self.body {
                Body::Plain(input) => return input.read(piece).map_err(ObjectError::Io),
                Body::Ended => return Ok(0),
                Body::Member(member) => member,
            };
            match member.read(piece) {
                Ok(0) => {
                    if let Body::Member(member) = std::mem::replace(&mut self.body, Body::Ended) {
                        self.body = after_member(member.into_inner(), self.inflated)?;
                    }
                }
                Ok(len) => return Ok(len),
                Err(error) => return Err(gzip_error(error, member.get_ref(), self.inflated)),
            }
        }
    }
}

impl<R: Read> Read for Text<R> {
    /// As [`Text::pull`], its errors inside [`io::Error`].
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        if piece.is_empty() { Ok(0) } else { self.pull(piece).map_err(io::Error::other) }
    }
}

/// What follows a gzip member: another one, or nothing but zero padding.
fn after_member<R: Read>(mut input: BufReader<Input<R>>, inflated: u64) -> Result<Body<R>, ObjectError> {
    let mut padded = false;
    loop {
        let ahead = input.fill_buf().map_err(ObjectError::Io)?;
        let Some(first) = ahead.first() else { return Ok(Body::Ended) };
        if *first == GZIP_MAGIC[0] && !padded {
            return Ok(Body::Member(Box::new(GzDecoder::new(input))));
        }
        let zeros = ahead.iter().take_while(|&&byte| byte == 0).count();
        if zeros < ahead.len() {
            input.consume(zeros);
            let what =
                format!("bytes after the gzip data, at compressed byte {}; expected the end", compressed_at(&input));
            return Err(bad(inflated, &what));
        }
        padded = true;
        input.consume(zeros);
    }
}

fn gzip_error<R: Read>(error: io::Error, input: &BufReader<Input<R>>, inflated: u64) -> ObjectError {
    if input.get_ref().failed {
        return ObjectError::Io(error);
    }
    let what =
        if error.kind() == io::ErrorKind::UnexpectedEof { "cut off".into() } else { format!("corrupt ({error})") };
    bad(inflated, &format!("gzip data is {what} at compressed byte {}", compressed_at(input)))
}

fn compressed_at<R: Read>(input: &BufReader<Input<R>>) -> u64 {
    input.get_ref().taken - input.buffer().len() as u64
}

fn bad(at: u64, what: &str) -> ObjectError {
    ObjectError::BadContent { at, what: what.into() }
}

/// Reads until `len` bytes are there or the end is.
fn read_ahead<E>(len: usize, mut read: impl FnMut(&mut [u8]) -> Result<usize, E>) -> Result<Vec<u8>, E> {
    let mut ahead = vec![0; len];
    let mut filled = 0;
    while let Some(rest) = ahead.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match read(rest)? {
            0 => break,
            len => filled += len,
        }
    }
    ahead.truncate(filled);
    Ok(ahead)
}

/// The compressed bytes; remembers whether it was the input that failed, as a decoder's errors look the same.
#[derive(Debug)]
struct Input<R> {
    inner: R,
    ahead: io::Cursor<Vec<u8>>,
    taken: u64,
    failed: bool,
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let len = match self.ahead.read(piece)? {
            0 => loop {
                match self.inner.read(piece) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        self.failed = true;
                        return Err(error);
                    }
                    Ok(len) => break len,
                }
            },
            ahead => ahead,
        };
        self.taken += len as u64;
        Ok(len)
    }
}

#[cfg(test)]
mod tests;
