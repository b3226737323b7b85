//! Sixty-four bytes at a time: where the quotes, backslashes and brackets of JSON stand, a bit a byte.

use wide::u8x16;

/// The bytes that are looked at together.
pub(super) const BLOCK: usize = 64;

/// Which of 64 bytes are what; the first byte is the lowest bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Masks {
    pub(super) quotes: u64,
    /// `{`, `}`, `[` and `]`; also `Y`, `y`, `_` and U+007F, none of which JSON has outside of strings.
    pub(super) brackets: u64,
    /// Whether there is any; [`backslashes`] tells where.
    pub(super) has_backslash: bool,
}

/// Masks of `block`: as few operations as will do, since every byte of every file goes through here.
#[inline]
pub(super) fn masks(block: &[u8; BLOCK]) -> Masks {
    let (mut quotes, mut brackets, mut any) = (0, 0, u8x16::splat(0));
    for (nth, lane) in block.as_chunks::<16>().0.iter().enumerate() {
        let bytes = u8x16::new(*lane);
        let bits = |found: u8x16| u64::from(found.to_bitmask()) << (16 * nth);
        quotes |= bits(bytes.simd_eq(u8x16::splat(b'"')));
        // The four brackets differ in these three bits alone, and so do the four other bytes named above.
        brackets |= bits((bytes & u8x16::splat(0b1101_1001)).simd_eq(u8x16::splat(0b0101_1001)));
        any |= bytes.simd_eq(u8x16::splat(b'\\'));
    }
    Masks { quotes, brackets, has_backslash: any.to_bitmask() != 0 }
}

/// Where the backslashes of `block` are.
pub(super) fn backslashes(block: &[u8; BLOCK]) -> u64 {
    block.iter().enumerate().fold(0, |mask, (at, byte)| mask | u64::from(*byte == b'\\') << at)
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
        Masks { quotes: mask(b"\""), brackets: mask(b"{}[]Yy_\x7f"), has_backslash: mask(b"\\") != 0 }
    }

    #[test]
    fn every_byte_at_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                for filler in [b' ', 0, 0x7f, 0x80, 0xff, b'"'] {
                    let mut block = [filler; BLOCK];
                    block[at] = byte;
                    assert_eq!(masks(&block), slow(&block), "{byte} at {at}");
                    assert_eq!(backslashes(&block) >> at & 1 == 1, byte == b'\\');
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
