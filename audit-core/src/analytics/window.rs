//! Which reads are parts of one download, and the ledger keys that say so across processes.
//!
//! A download's window begins with its first part and is `WINDOW_SECONDS` long, by the records' own time. Two downloads of one
//! object by one visitor are therefore at least a window apart, and a read belongs to a recorded one exactly if it is less
//! than a window away from its first part, *on either side*: parts arrive minutes apart and in any order.
//!
//! The ledger knows keys, not times. So a download that begins in second *s* claims a small set of keys around *s*, chosen such
//! that the sets of two seconds have a key in common exactly if they are less than a window apart: with *m* ≈ √window, the
//! last *m* seconds up to *s*, and every *m*-th second after it within the window (15 keys for 60 seconds). One claim then
//! excludes every overlapping download, also one that is under way elsewhere, and there are no borders to fall over.
//!
//! What error remains: times count in whole seconds (in 4 seconds for a window of an hour: see [`Window::new`]). And where a later part is recorded
//! before the first one is even read, the window lies around that part, so another download that begins within a window after that
//! part is taken for the same one.

use std::time::Duration;

use jiff::Timestamp;

use super::Read;
use crate::record::Key;

/// The length of a window, and the pattern of keys that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    slot_seconds: i64,
    slots: i64,
    offsets: Vec<i64>,
}

/// Windows up to this long are exact to the second; longer ones to a thousandth or so, lest the keys become too many.
const EXACT_SLOTS: u64 = 900;

impl Window {
    /// A window of `length`, of which whole seconds count. Up to 15 minutes it is exact to the second.
    #[must_use]
    pub fn new(length: Duration) -> Self {
        let seconds = length.as_secs().clamp(1, u64::from(u32::MAX));
        let slot_seconds = seconds.div_ceil(EXACT_SLOTS);
        let slots = i64::try_from(seconds.div_ceil(slot_seconds)).unwrap_or(i64::MAX);
        let step = (1..=slots).find(|step| step * step >= slots).unwrap_or(slots);
        let before = (0..step).map(|back| -back);
        let after = (1..).map(|times| times * step).take_while(|&offset| offset < slots - step);
        let mut offsets: Vec<i64> = before.chain(after).chain([slots - step]).collect();
        offsets.sort_unstable();
        offsets.dedup();
        Self { slot_seconds: i64::try_from(slot_seconds).unwrap_or(i64::MAX), slots, offsets }
    }

    fn slot(&self, at: Timestamp) -> i64 {
        // A timestamp's second is rounded towards zero; before 1970 nothing was downloaded from an object store.
        at.as_second().div_euclid(self.slot_seconds)
    }

    /// Whether a read at `at` belongs to the download that began at `first`, and the other way round.
    #[must_use]
    pub fn joins(&self, first: Timestamp, at: Timestamp) -> bool {
        (self.slot(first) - self.slot(at)).abs() < self.slots
    }

    /// Whether downloads that begin at either time would have the very same keys.
    #[must_use]
    pub fn same_keys(&self, one: Timestamp, other: Timestamp) -> bool {
        self.slot(one) == self.slot(other)
    }

    /// How many keys the ledger knows of one download, that of its read included.
    #[must_use]
    pub fn keys_of_one(&self) -> usize {
        self.offsets.len() + 1
    }

    /// The keys of a download (as [`Visit::download`](super::Visit::download) names it) that begins at `first`.
    #[must_use]
    pub fn keys(&self, read: &Read, download: Key, first: Timestamp) -> Vec<Key> {
        let (slot, name) = (self.slot(first), download.to_hex());
        let key = |offset: &i64| Key::new("analytics", read.backend, &format!("window:{name}:{}", slot + offset));
        self.offsets.iter().map(key).collect()
    }
}

/// The ledger's key of one read, which a replay shares, and MinIO's audit entry with the notification; `None` where the record has no
/// identity.
#[must_use]
pub fn read_key(read: &Read) -> Option<Key> {
    read.identity.as_ref().map(|identity| Key::new("analytics", read.backend, &format!("read:{identity}")))
}

/// The ledger's key for an event of `read` having been dropped once.
#[must_use]
pub fn dropped_key(read: &Read, download: Key) -> Key {
    let name = read
        .identity
        .clone()
        .unwrap_or_else(|| format!("{}:{}", download.to_hex(), read.time.as_deref().unwrap_or_default()));
    Key::new("analytics", read.backend, &format!("dropped:{name}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::super::samples::read;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn shares_a_key(window: &Window, one: i64, other: i64) -> bool {
        let download = Key([7; 16]);
        let keys = |second| window.keys(&read(), download, at(second)).into_iter().collect::<HashSet<_>>();
        !keys(one).is_disjoint(&keys(other))
    }

    #[test]
    fn a_minute_takes_fifteen_keys() {
        insta::assert_compact_debug_snapshot!(Window::new(Duration::from_mins(1)).offsets, @"[-7, -6, -5, -4, -3, -2, -1, 0, 8, 16, 24, 32, 40, 48, 52]");
        assert!(Window::new(Duration::from_hours(24 * 365)).offsets.len() <= 60);
    }

    #[test]
    fn two_downloads_share_a_key_exactly_within_a_window() {
        for seconds in (1..=64).chain([97, 100, 119, 120, 300, 899, 900]) {
            let window = Window::new(Duration::from_secs(u64::try_from(seconds).unwrap()));
            for apart in 0..seconds * 2 + 3 {
                let expected = apart < seconds;
                assert_eq!(shares_a_key(&window, 1_000_000, 1_000_000 + apart), expected, "{apart} of {seconds}");
                assert_eq!(window.joins(at(1_000_000 + apart), at(1_000_000)), expected, "{apart} of {seconds}");
            }
        }
    }

    #[test]
    fn reads_and_downloads_have_keys_of_their_own() {
        let mut one = read();
        assert_eq!(read_key(&one), None);
        one.identity = Some("d:r:b:o".into());
        let twin = Read { user_agent: None, client_address: None, time: None, bytes: None, ..one.clone() };
        assert_eq!(read_key(&one), read_key(&twin));
        assert_ne!(read_key(&one), Some(dropped_key(&one, Key([7; 16]))));
    }

    proptest! {
        #[test]
        fn keys_and_times_agree(seconds in 1..100_000_u64, start in 1_000_000_000..2_000_000_000_i64, apart in 0..200_000_i64) {
            let window = Window::new(Duration::from_secs(seconds));
            prop_assert_eq!(shares_a_key(&window, start, start + apart), window.joins(at(start), at(start + apart)));
            let seconds = i64::try_from(seconds).unwrap();
            let error = 2 * window.slot_seconds - 1;
            if apart + error < seconds { prop_assert!(window.joins(at(start), at(start + apart))); }
            if apart >= seconds + error { prop_assert!(!window.joins(at(start), at(start + apart))); }
        }
    }
}
