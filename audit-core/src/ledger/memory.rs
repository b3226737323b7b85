//! The ledger of one process: for tests, and for those who write `LEDGER_URL=memory:` out.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::{BatchId, Claim, Owner, Terms};
use crate::clock::Clock;
use crate::record::Key;

/// A ledger in memory.
#[derive(Debug)]
pub struct MemoryLedger {
    entries: Mutex<HashMap<Key, Entry>>,
    terms: Terms,
    clock: Clock,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    state: State,
    until: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Claimed(Owner),
    Sent(Owner, BatchId),
    Confirmed,
    Held(BatchId),
}

impl MemoryLedger {
    /// An empty ledger.
    #[must_use]
    pub fn new(terms: Terms, clock: Clock) -> Self {
        Self { entries: Mutex::default(), terms, clock }
    }

    pub(super) fn claim(&self, keys: &[Key], owner: Owner) -> Vec<Claim> {
        let now = self.clock.now();
        let mut entries = self.entries();
        let mut claim = |key: &Key| {
            let known = entries.get(key).copied();
            match known.map(|entry| (entry.state, entry.until > now)) {
                Some((State::Confirmed | State::Held(_), true)) => return Claim::Duplicate,
                Some((State::Claimed(other), true)) if other != owner => return Claim::Busy,
                Some((State::Sent(other, _), true)) if other != owner => return Claim::Busy,
                Some((State::Sent(_, batch), _)) => return Claim::Lost(batch),
                _ => {}
            }
            entries.insert(*key, Entry { state: State::Claimed(owner), until: self.after(self.terms.lease) });
            Claim::Claimed
        };
        keys.iter().map(&mut claim).collect()
    }

    pub(super) fn sent(&self, keys: &[Key], owner: Owner, batch: BatchId) -> Vec<bool> {
        let until = self.after(self.terms.lease);
        let mut entries = self.entries();
        let mut send = |key: &Key| match entries.get_mut(key) {
            Some(entry) if entry.state == State::Claimed(owner) => {
                *entry = Entry { state: State::Sent(owner, batch), until };
                true
            }
            _ => false,
        };
        keys.iter().map(&mut send).collect()
    }

    pub(super) fn confirm(&self, keys: &[Key], batch: BatchId) {
        self.turn(
            keys,
            State::Confirmed,
            |state| matches!(state, State::Sent(_, own) | State::Held(own) if own == batch),
        );
    }

    pub(super) fn hold(&self, keys: &[Key], batch: BatchId) {
        self.turn(keys, State::Held(batch), |state| matches!(state, State::Sent(_, own) if own == batch));
    }

    pub(super) fn release(&self, keys: &[Key], owner: Owner) {
        self.free(keys, |state| matches!(state, State::Claimed(own) | State::Sent(own, _) if own == owner));
    }

    pub(super) fn settle(&self, keys: &[Key], batch: BatchId, delivered: bool) {
        if delivered {
            self.turn(keys, State::Confirmed, |state| state == State::Held(batch));
        } else {
            self.free(keys, |state| state == State::Held(batch));
        }
    }

    fn turn(&self, keys: &[Key], state: State, from: impl Fn(State) -> bool) {
        let until = self.after(self.terms.ttl);
        let mut entries = self.entries();
        for key in keys {
            if let Some(entry) = entries.get_mut(key).filter(|entry| from(entry.state)) {
                *entry = Entry { state, until };
            }
        }
    }

    fn free(&self, keys: &[Key], from: impl Fn(State) -> bool) {
        let mut entries = self.entries();
        for key in keys {
            if entries.get(key).is_some_and(|entry| from(entry.state)) {
                entries.remove(key);
            }
        }
    }

    fn after(&self, term: std::time::Duration) -> Timestamp {
        let term = SignedDuration::try_from(term).unwrap_or(SignedDuration::MAX);
        self.clock.now().checked_add(term).unwrap_or(Timestamp::MAX)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        // No method leaves an entry half written, so what a panicking thread left is sound.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
