//! Which keys were seen before, at a price that is known: at most 28 bytes a key at any moment.
//!
//! The keys are hashes already, so they are their own hash. Many small tables grow one by one, each by a third, so that
//! neither the free places nor the copy made while growing weigh much.

use crate::record::Key;

const SHARDS: usize = 256;
/// A table grows when more than this share of its places would be taken.
const FULL: (usize, usize) = (4, 5);
/// How much larger a table becomes.
const GROWTH: (usize, usize) = (27, 20);
/// Marks a free place; the key of this value is remembered apart.
const FREE: u128 = 0;

/// A set of keys.
#[derive(Debug)]
pub struct Seen {
    shards: Vec<Shard>,
    free_key: bool,
}

#[derive(Debug, Default, Clone)]
struct Shard {
    places: Box<[u128]>,
    taken: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self { shards: vec![Shard::default(); SHARDS], free_key: false }
    }
}

impl Seen {
    /// Adds `key`; false when it was there already.
    pub fn insert(&mut self, key: Key) -> bool {
        let key = u128::from_be_bytes(key.0);
        if key == FREE {
            return !std::mem::replace(&mut self.free_key, true);
        }
        let shard = usize::try_from(key >> 120).unwrap_or_default();
        self.shards.get_mut(shard).is_some_and(|shard| shard.insert(key))
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.taken).sum::<usize>() + usize::from(self.free_key)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Shard {
    fn insert(&mut self, key: u128) -> bool {
        if (self.taken + 1) * FULL.1 > self.places.len() * FULL.0 {
            if self.places.contains(&key) {
                return false;
            }
            self.grow();
        }
        match place_of(&self.places, key).and_then(|place| self.places.get_mut(place)) {
            Some(place) if *place == FREE => {
                *place = key;
                self.taken += 1;
                true
            }
            Some(_) | None => false,
        }
    }

    fn grow(&mut self) {
        let len = (self.places.len() * GROWTH.0 / GROWTH.1).max(self.places.len() + 4);
        let mut larger = vec![FREE; len].into_boxed_slice();
        for &key in self.places.iter().filter(|&&key| key != FREE) {
            if let Some(place) = place_of(&larger, key).and_then(|place| larger.get_mut(place)) {
                *place = key;
            }
        }
        self.places = larger;
    }
}

/// Where `key` stands, or the free place where it would; there is always a free one.
fn place_of(places: &[u128], key: u128) -> Option<usize> {
    // The low half of the key, scaled to the table: its top bits, which chose the shard, play no part.
    let low = key & u128::from(u64::MAX);
    let start = usize::try_from((low * places.len() as u128) >> 64).ok()?;
    let (before, after) = places.split_at_checked(start)?;
    let fits = |place: &u128| *place == key || *place == FREE;
    after.iter().position(fits).map(|at| start + at).or_else(|| before.iter().position(fits))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use proptest::prelude::*;

    fn bytes(seen: &Seen) -> usize {
        let largest = seen.shards.iter().map(|shard| shard.places.len()).max().unwrap();
        let places: usize = seen.shards.iter().map(|shard| shard.places.len()).sum();
        (places + largest * 2) * size_of::<u128>()
    }

    #[test]
    fn costs_at_most_28_bytes_a_key() {
        let mut seen = Seen::default();
        for number in 0_u64..400_000 {
            assert!(seen.insert(Key::new("test", crate::event::Backend::Minio, &number.to_string())));
            // Below that the fixed part, some kilobytes, is more than the keys.
            if number > 20_000 && number % 101 == 0 {
                let cost = bytes(&seen);
                assert!(cost <= 28 * seen.len(), "{cost} bytes for {} keys", seen.len());
            }
        }
        for number in 0_u64..400_000 {
            assert!(!seen.insert(Key::new("test", crate::event::Backend::Minio, &number.to_string())));
        }
        assert_eq!(seen.len(), 400_000);
    }

    proptest! {
        #[test]
        fn is_a_set(keys in prop::collection::vec((0_u8..3, 0_u8..3, any::<bool>()), 0..200)) {
            let mut seen = Seen::default();
            let mut set = HashSet::new();
            for (first, last, high) in keys {
                let mut key = [if high { 255 } else { 0 }; 16];
                (key[0], key[15]) = (first, last);
                prop_assert_eq!(seen.insert(Key(key)), set.insert(key));
            }
            prop_assert_eq!(seen.len(), set.len());
        }
    }
}
