use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn read_all(input: impl Read, limit: u64) -> Result<Option<Vec<u8>>, ObjectError> {
    let Some(mut text) = Text::open(input, limit)? else { return Ok(None) };
    let (mut all, mut piece) = (Vec::new(), [0; 100]);
    loop {
        match text.pull(&mut piece)? {
            0 => return Ok(Some(all)),
            len => all.extend_from_slice(&piece[..len]),
        }
    }
}

fn message(input: &[u8]) -> String {
    read_all(input, 1 << 20).unwrap_err().to_string()
}

/// Gives pieces of the lengths asked for, again and again.
struct Pieces<'a>(&'a [u8], Vec<usize>, usize);

impl Read for Pieces<'_> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        self.2 += 1;
        if self.2.is_multiple_of(7) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = self.1[self.2 % self.1.len()].min(piece.len());
        self.0.read(&mut piece[..len])
    }
}

#[test]
fn gzip_and_plain_are_told_by_their_bytes() {
    let text = b"some text".repeat(1000);
    assert_eq!(read_all(&text[..], 9000).unwrap().unwrap(), text);
    assert_eq!(read_all(&gzip(&text)[..], 9000).unwrap().unwrap(), text);
    assert_eq!(read_all(&b"x"[..], 9000).unwrap().unwrap(), b"x");
    assert!(read_all(&b""[..], 9000).unwrap().is_none());
}

#[test]
fn members_follow_one_another_and_zero_padding_ends_them() {
    let two = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
    assert_eq!(read_all(&two[..], 9).unwrap().unwrap(), b"one two");
    assert_eq!(read_all(&[two.clone(), vec![0; 100_000]].concat()[..], 9).unwrap().unwrap(), b"one two");
    for junk in [&b"x"[..], b"\0x", b"\0\x1f\x8b", b"\x1f", b"\x1f\x8b", b"\n"] {
        assert!(read_all(&[&two, junk].concat()[..], 9).is_err(), "{junk:?}");
    }
    let at = two.len() + 1;
    assert_eq!(
        message(&[&two[..], b"\0x"].concat()),
        format!("byte 7 of the text: bytes after the gzip data, at compressed byte {at}; expected the end")
    );
}

#[test]
fn a_byte_order_mark_is_left_out() {
    assert_eq!(read_all(&b"\xef\xbb\xbf{}"[..], 9).unwrap().unwrap(), b"{}");
    assert_eq!(read_all(&gzip(b"\xef\xbb\xbf{}")[..], 9).unwrap().unwrap(), b"{}");
    for utf16 in [&b"\xff\xfe{\0}\0"[..], b"\xfe\xff\0{\0}", b"{\0}\0", b"\0{\0}"] {
        assert_eq!(message(utf16), "byte 0 of the text: UTF-16 or UTF-32 text; expected UTF-8");
    }
}

#[test]
fn more_text_than_allowed_fails() {
    let bomb = gzip(&vec![b' '; 100_000]);
    assert!(matches!(read_all(&bomb[..], 99_999), Err(ObjectError::TooLarge { limit: 99_999 })));
    assert_eq!(read_all(&bomb[..], 100_000).unwrap().unwrap().len(), 100_000);
    assert!(matches!(read_all(&b"12345"[..], 4), Err(ObjectError::TooLarge { limit: 4 })));
}

#[test]
fn every_cut_and_every_flipped_bit_fails() {
    let whole = gzip((0_u32..500).map(|number| number.to_string()).collect::<String>().as_bytes());
    for len in 2..whole.len() {
        let error = read_all(&whole[..len], 1 << 20).unwrap_err();
        assert!(matches!(&error, ObjectError::BadContent { what, .. } if what.contains("cut off")), "{len}: {error}");
    }
    for at in 10..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        assert!(read_all(&flipped[..], 1 << 20).is_err(), "{at}");
    }
}

#[test]
fn a_broken_input_is_not_broken_content() {
    struct Breaks;
    impl Read for Breaks {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
    let whole = gzip(b"text");
    let error = read_all(whole[..12].chain(Breaks), 9).unwrap_err();
    assert!(matches!(error, ObjectError::Io(_)) && error.is_transient());
    assert!(matches!(read_all(b"text".chain(Breaks), 9), Err(ObjectError::Io(_))));
    assert!(matches!(read_all(whole.chain(Breaks), 9), Err(ObjectError::Io(_))));
}

proptest! {
    #[test]
    fn pieces_do_not_matter(text in prop::collection::vec(any::<u8>(), 0..2000), pieces in prop::collection::vec(1_usize..300, 1..6), packed: bool) {
        let bytes = if packed { gzip(&text) } else { text };
        let whole = read_all(&bytes[..], 1500).map_err(|error| error.to_string());
        let pieced = read_all(Pieces(&bytes, pieces, 0), 1500).map_err(|error| error.to_string());
        prop_assert_eq!(whole, pieced);
    }
}
