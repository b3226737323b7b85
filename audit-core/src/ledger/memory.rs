//! The ledger of one process: for tests, and for those who write `LEDGER_URL=memory:` out.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::entry::{Entry, Moment, State};
use super::{BatchId, Claim, Owner, Terms};
use crate::clock::Clock;
use crate::record::Key;

/// A ledger in memory.
#[derive(Debug)]
pub struct MemoryLedger {
    entries: Mutex<Entries>,
    terms: Terms,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<Key, Entry>,
    /// How many entries there may be before those that are over are looked for.
    sweep_at: usize,
}

impl MemoryLedger {
    /// An empty ledger.
    #[must_use]
    pub fn new(terms: Terms, clock: Clock) -> Self {
        Self { entries: Mutex::default(), terms, clock }
    }

    pub(super) fn claim(&self, keys: &[Key], owner: Owner) -> Vec<Claim> {
        let at = self.moment();
        let mut entries = self.entries();
        entries.sweep(at.now);
        let mut claim = |key: &Key| {
            let met = entries.by_key.get(key).and_then(|entry| entry.met_by(owner, at.now));
            met.unwrap_or_else(|| {
                entries.by_key.insert(*key, at.claimed(owner));
                Claim::Claimed
            })
        };
        keys.iter().map(&mut claim).collect()
    }

    pub(super) fn sent(&self, keys: &[Key], owner: Owner, batch: BatchId) -> Vec<bool> {
        let at = self.moment();
        let mut entries = self.entries();
        let mut send = |key: &Key| match entries.by_key.get_mut(key) {
            Some(entry) if entry.may_be_sent(owner, batch, at.now) => {
                *entry = at.sent(owner, batch);
                true
            }
            _ => false,
        };
        keys.iter().map(&mut send).collect()
    }

    pub(super) fn confirm(&self, keys: &[Key], batch: BatchId) {
        let at = self.moment();
        self.turn(keys, Some(at.kept(State::Confirmed)), |entry| entry.may_be_confirmed(batch, at.now));
    }

    pub(super) fn hold(&self, keys: &[Key], batch: BatchId) {
        let at = self.moment();
        self.turn(keys, Some(at.kept(State::Held(batch))), |entry| entry.may_be_held(batch, at.now));
    }

    pub(super) fn release(&self, keys: &[Key], owner: Owner) {
        self.turn(keys, None, |entry| entry.may_be_released(owner));
    }

    pub(super) fn settle(&self, keys: &[Key], batch: BatchId, delivered: bool) {
        let at = self.moment();
        let next = delivered.then(|| at.kept(State::Confirmed));
        self.turn(keys, next, |entry| entry.may_be_settled(batch, at.now));
    }

    /// Puts `next` in the place of the entries that `may`, or takes them out.
    fn turn(&self, keys: &[Key], next: Option<Entry>, may: impl Fn(&Entry) -> bool) {
        let mut entries = self.entries();
        for key in keys {
            match (entries.by_key.get_mut(key).filter(|entry| may(entry)), next) {
                (Some(entry), Some(next)) => *entry = next,
                (Some(_), None) => _ = entries.by_key.remove(key),
                (None, _) => {}
            }
        }
    }

    fn moment(&self) -> Moment {
        Moment::new(self.clock.now(), self.terms)
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // No method leaves an entry half written, so what a panicking thread left is sound.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// Drops what is over, each time the ledger has doubled: it holds at most twice what it must, at a constant cost a key.
    fn sweep(&mut self, now: i64) {
        const SMALL: usize = 1024;
        if self.by_key.len() >= self.sweep_at.max(SMALL) {
            self.by_key.retain(|_, entry| entry.gone > now);
            self.sweep_at = self.by_key.len().saturating_mul(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_is_over_does_not_pile_up() {
        let now = Arc::new(AtomicI64::new(0));
        let clock = Clock::from_fn({
            let now = Arc::clone(&now);
            move || jiff::Timestamp::from_second(now.load(Ordering::Relaxed)).unwrap()
        });
        let ledger = MemoryLedger::new(Terms { lease: Duration::from_secs(1), ttl: Duration::from_secs(9) }, clock);
        for round in 0_u64..1_000 {
            now.store(i64::try_from(round).unwrap(), Ordering::Relaxed);
            let keys: Vec<Key> = (0..100_u128).map(|n| Key((u128::from(round) << 64 | n).to_be_bytes())).collect();
            ledger.claim(&keys, Owner(Uuid::nil()));
        }
        assert!(ledger.entries().by_key.len() < 2_000, "{}", ledger.entries().by_key.len());
    }
}
