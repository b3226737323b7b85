//! Sixty-four bytes at a time: where the quotes, backslashes and brackets of JSON stand, a bit a byte.

use wide::u8x16;

/// The bytes that are looked at together.
pub(super) const BLOCK: usize = 64;

/// Which of 64 bytes are what; the first byte is the lowest bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Masks {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    /// `{`, `}`, `[` and `]`.
    pub(super) brackets: u64,
}

/// Masks of `block`.
#[inline]
pub(super) fn masks(block: &[u8; BLOCK]) -> Masks {
    let mut masks = Masks::default();
    for (nth, lane) in block.as_chunks::<16>().0.iter().enumerate() {
        let bytes = u8x16::new(*lane);
        let bits = |found: u8x16| u64::from(found.to_bitmask()) << (16 * nth);
        // `[` and `]` differ from `{` and `}` in this bit alone, and no other byte becomes one of them.
        let folded = bytes | u8x16::splat(0x20);
        masks.quotes |= bits(bytes.simd_eq(u8x16::splat(b'"')));
        masks.backslashes |= bits(bytes.simd_eq(u8x16::splat(b'\\')));
        masks.brackets |= bits(folded.simd_eq(u8x16::splat(b'{')) | folded.simd_eq(u8x16::splat(b'}')));
    }
    masks
}

/// Each bit becomes the parity of itself and all lower ones: ones from an opening quote to before its closing one.
pub(super) fn between(quotes: u64) -> u64 {
    (0..6).fold(quotes, |bits, power| bits ^ (bits << (1 << power)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slow(block: &[u8; BLOCK]) -> Masks {
        let mask =
            |wanted: &[u8]| (0..BLOCK).filter(|&at| wanted.contains(&block[at])).fold(0, |mask, at| mask | 1 << at);
        Masks { quotes: mask(b"\""), backslashes: mask(b"\\"), brackets: mask(b"{}[]") }
    }

    #[test]
    fn every_byte_at_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                for filler in [b' ', 0, 0x7f, 0x80, 0xff, b'"'] {
                    let mut block = [filler; BLOCK];
                    block[at] = byte;
                    assert_eq!(masks(&block), slow(&block), "{byte} at {at}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes(block in prop::array::uniform32(any::<[u8; 2]>())) {
            let block: [u8; BLOCK] = block.concat().try_into().unwrap();
            prop_assert_eq!(masks(&block), slow(&block));
        }

        #[test]
        fn between_is_the_parity_so_far(quotes in any::<u64>()) {
            let mut open = false;
            for at in 0..64 {
                open ^= quotes >> at & 1 == 1;
                prop_assert_eq!(between(quotes) >> at & 1 == 1, open);
            }
        }
    }
}
