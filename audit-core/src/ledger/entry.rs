//! What a ledger keeps of one key, and every step it may take: pure, so that all stores agree.
//!
//! Times are milliseconds since the epoch.

use std::time::Duration;

use jiff::Timestamp;

use super::{BatchId, Claim, Owner, Terms};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Claimed(Owner),
    Sent(Owner, BatchId),
    Confirmed,
    Held(BatchId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) state: State,
    /// The end of the lease; for what is confirmed or held, the same as `gone`.
    pub(super) until: i64,
    /// When the entry stands for nothing any more. A `sent` outlives its lease, as nobody can know what came of it.
    pub(super) gone: i64,
}

/// One instant, with the ends of the terms that begin at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: i64,
    lease_end: i64,
    ttl_end: i64,
}

impl Moment {
    pub(super) fn new(now: Timestamp, terms: Terms) -> Self {
        let now = now.as_millisecond();
        let after = |term: Duration| now.saturating_add(millis(term));
        Self { now, lease_end: after(terms.lease), ttl_end: after(terms.ttl) }
    }

    pub(super) fn claimed(&self, owner: Owner) -> Entry {
        Entry { state: State::Claimed(owner), until: self.lease_end, gone: self.lease_end }
    }

    pub(super) fn sent(&self, owner: Owner, batch: BatchId) -> Entry {
        let gone = self.ttl_end.max(self.lease_end);
        Entry { state: State::Sent(owner, batch), until: self.lease_end, gone }
    }

    pub(super) fn kept(&self, state: State) -> Entry {
        Entry { state, until: self.ttl_end, gone: self.ttl_end }
    }
}

/// A term in milliseconds, at most a hundred years: what stores can still add to a date.
pub(super) fn millis(term: Duration) -> i64 {
    const CENTURY: i64 = 100 * 366 * 24 * 3600 * 1000;
    i64::try_from(term.as_millis()).unwrap_or(CENTURY).min(CENTURY)
}

impl Entry {
    /// What a claim by `owner` finds, or `None` when it may take the key.
    pub(super) fn met_by(&self, owner: Owner, now: i64) -> Option<Claim> {
        match self.state {
            _ if self.gone <= now => None,
            State::Confirmed | State::Held(_) => Some(Claim::Duplicate),
            State::Sent(other, _) if other != owner && self.until > now => Some(Claim::Busy),
            State::Sent(_, batch) => Some(Claim::Lost(batch)),
            State::Claimed(other) => (other != owner).then_some(Claim::Busy),
        }
    }

    /// Whether `owner` may send the key in `batch`: its claim stands, or this same call was already carried out and only
    /// its answer got lost.
    pub(super) fn may_be_sent(&self, owner: Owner, batch: BatchId, now: i64) -> bool {
        self.until > now && (self.state == State::Claimed(owner) || self.state == State::Sent(owner, batch))
    }

    pub(super) fn may_be_confirmed(&self, batch: BatchId, now: i64) -> bool {
        self.gone > now && matches!(self.state, State::Sent(_, own) | State::Held(own) if own == batch)
    }

    pub(super) fn may_be_held(&self, batch: BatchId, now: i64) -> bool {
        self.gone > now && matches!(self.state, State::Sent(_, own) if own == batch)
    }

    pub(super) fn may_be_released(&self, owner: Owner) -> bool {
        matches!(self.state, State::Claimed(own) | State::Sent(own, _) if own == owner)
    }

    /// Whether a person may settle the key: it is held under `batch`, or was sent in it so long ago that only the mark of
    /// holding it is missing.
    pub(super) fn may_be_settled(&self, batch: BatchId, now: i64) -> bool {
        self.gone > now
            && match self.state {
                State::Held(own) => own == batch,
                State::Sent(_, own) => own == batch && self.until <= now,
                State::Claimed(_) | State::Confirmed => false,
            }
    }
}
