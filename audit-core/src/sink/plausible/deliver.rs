//! One event on its way: posted until it is settled, or until it must wait for another attempt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::time::{Instant, timeout_at};
use tracing::warn;
use uuid::Uuid;

use super::answer::{Answer, answer, request};
use super::claims::Event;
use super::{AnalyticsOutcome, Fate, PlausibleSink};
use crate::analytics::plausible_event::PlausibleEvent;
use crate::analytics::window;
use crate::ledger::{BatchId, LedgerError, Owner};
use crate::record::Key;

/// What all events of one attempt share.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) owner: Owner,
    pub(super) until: Instant,
    /// Set when the server does not answer: further events would only be put in doubt, or wait in vain.
    pub(super) halted: AtomicBool,
    /// The keys of events for which there was no time.
    unsent: Mutex<Vec<Key>>,
}

impl Attempt {
    pub(super) fn new(owner: Owner, until: Instant) -> Self {
        Self { owner, until, halted: AtomicBool::new(false), unsent: Mutex::default() }
    }

    pub(super) fn take_unsent(&self) -> Vec<Key> {
        std::mem::take(&mut self.unsent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Leaves an event that nothing was noted of for another attempt; its claims are given back with those of the others.
    fn leave(&self, keys: &[Key]) -> Fate {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner).extend(keys);
        Fate::Later
    }
}

impl PlausibleSink {
    /// Sends `event` of `visitor`; tells what became of its first part.
    pub(super) async fn deliver(&self, event: &Event<'_, '_>, visitor: u64, attempt: &Attempt) -> Fate {
        let batch = BatchId(Uuid::now_v7());
        match self.try_to_deliver(event, visitor, attempt, batch).await {
            Ok(fate) => fate,
            Err(error) => {
                warn!(%error, "an analytics event could not be noted in the ledger; it waits");
                // Nothing was recorded on any way that leads here; a claim that stays comes free with its lease.
                let _ = self.ledger.release(&event.keys, attempt.owner).await;
                Fate::Later
            }
        }
    }

    async fn try_to_deliver(
        &self,
        event: &Event<'_, '_>,
        visitor: u64,
        attempt: &Attempt,
        batch: BatchId,
    ) -> Result<Fate, LedgerError> {
        let (ledger, keys) = (&self.ledger, event.keys.as_slice());
        let Ok(_visitor) = timeout_at(attempt.until, self.stripe(visitor).lock()).await else {
            return Ok(attempt.leave(keys));
        };
        let mut waits = self.patience.backoff.start();
        // Of a server that did not answer before, one try finds out whether it does now.
        let was_down = self.is_down();
        let mut noted = false;
        loop {
            let place = timeout_at(attempt.until, self.places.acquire()).await;
            match self.must_not_be_sent(event, attempt) {
                None => {}
                Some(Fate::Later) if !noted => return Ok(attempt.leave(keys)),
                Some(fate) => {
                    ledger.release(keys, attempt.owner).await?;
                    return Ok(fate);
                }
            }
            if !std::mem::replace(&mut noted, true) && ledger.sent(keys, attempt.owner, batch).await?.contains(&false) {
                ledger.release(keys, attempt.owner).await?;
                return Ok(Fate::Later);
            }
            let answer = self.post(event, attempt.until).await;
            drop(place);
            self.note_state(&answer);
            let (reason, retry_after) = match answer {
                Answer::Transient { reason, retry_after } => (reason, retry_after),
                settled @ (Answer::Recorded | Answer::Dropped | Answer::Rejected(_) | Answer::Ambiguous(_)) => {
                    return self.settled(event, settled, attempt, batch).await;
                }
            };
            match waits.next(retry_after, attempt.until) {
                Some(at) if !was_down && !attempt.halted.load(Ordering::Relaxed) => self.ending.sleep_until(at).await,
                _ => {
                    self.down.store(true, Ordering::Relaxed);
                    if !attempt.halted.swap(true, Ordering::Relaxed) {
                        warn!(reason, "plausible takes no events; they wait");
                    }
                    ledger.release(keys, attempt.owner).await?;
                    return Ok(Fate::Later);
                }
            }
        }
    }

    /// Remembers over calls whether the server answers.
    fn note_state(&self, answer: &Answer) {
        match answer {
            Answer::Recorded | Answer::Dropped | Answer::Rejected(_) => self.down.store(false, Ordering::Relaxed),
            Answer::Ambiguous(_) => self.down.store(true, Ordering::Relaxed),
            Answer::Transient { .. } => {}
        }
    }

    fn must_not_be_sent(&self, event: &Event<'_, '_>, attempt: &Attempt) -> Option<Fate> {
        let now = self.clock.now();
        if event.parts.iter().all(|(_, part)| self.is_late(&part.visit, now)) {
            return Some(Fate::Done(AnalyticsOutcome::TooLate));
        }
        let late = Instant::now() + self.patience.least > attempt.until;
        (late || self.ending.is_asked() || attempt.halted.load(Ordering::Relaxed)).then_some(Fate::Later)
    }

    async fn post(&self, event: &Event<'_, '_>, until: Instant) -> Answer {
        let Some((_, first)) = event.parts.first() else { return Answer::Rejected("no parts".to_owned()) };
        let known: Vec<u64> = event.parts.iter().filter_map(|(_, part)| part.visit.read.bytes).collect();
        let bytes = (!known.is_empty()).then(|| known.iter().fold(0, |sum: u64, &bytes| sum.saturating_add(bytes)));
        let config = &self.policy.config;
        let body = PlausibleEvent::new(config, &first.visit, bytes);
        let user_agent = self.policy.user_agent(&first.visit);
        let address = first.visit.address.map(|address| (config.address_header.name(), address.to_string()));
        let Some(request) = request(&self.url, &body, &user_agent, address) else {
            return Answer::Rejected("a value cannot stand in a header".to_owned());
        };
        let timeout = self.patience.post.min(until.saturating_duration_since(Instant::now()));
        answer(self.client.send(request, timeout).await, self.clock.now())
    }

    async fn settled(
        &self,
        event: &Event<'_, '_>,
        answer: Answer,
        attempt: &Attempt,
        batch: BatchId,
    ) -> Result<Fate, LedgerError> {
        let keys = event.keys.as_slice();
        let (outcome, noted) = match answer {
            Answer::Recorded => (AnalyticsOutcome::Recorded, self.ledger.confirm(keys, batch).await),
            Answer::Rejected(detail) => {
                let detail = without_visitor(detail, event);
                (AnalyticsOutcome::Rejected(detail), self.ledger.confirm(keys, batch).await)
            }
            Answer::Ambiguous(reason) => {
                attempt.halted.store(true, Ordering::Relaxed);
                warn!(reason, "nobody knows whether plausible recorded an event");
                (AnalyticsOutcome::Ambiguous, self.ledger.hold(keys, batch).await)
            }
            Answer::Dropped if self.first_drop(event, attempt.owner, batch).await? => {
                self.ledger.release(keys, attempt.owner).await?;
                return Ok(Fate::DroppedOnce);
            }
            Answer::Dropped => (AnalyticsOutcome::Dropped, self.ledger.confirm(keys, batch).await),
            Answer::Transient { .. } => return Ok(Fate::Later),
        };
        if let Err(error) = noted {
            // The outcome is known all the same; a replay will find the event lost, and count it as ambiguous.
            warn!(%error, "the outcome of an analytics event could not be noted in the ledger");
        }
        Ok(Fate::Done(outcome))
    }

    /// Whether no part of `event` was in a dropped event before; the ledger remembers this one.
    async fn first_drop(&self, event: &Event<'_, '_>, owner: Owner, batch: BatchId) -> Result<bool, LedgerError> {
        let mark = |part: &super::Part<'_>| window::dropped_key(part.visit.read, part.visit.download());
        let mut marks: Vec<Key> = event.parts.iter().map(|(_, part)| mark(part)).collect();
        marks.sort_unstable();
        marks.dedup();
        let claims = self.ledger.claim(&marks, owner).await?;
        if claims.iter().all(|claim| *claim == crate::ledger::Claim::Claimed) {
            self.ledger.sent(&marks, owner, batch).await?;
            self.ledger.confirm(&marks, batch).await?;
            return Ok(true);
        }
        self.ledger.release(&marks, owner).await?;
        Ok(false)
    }
}

/// The server may repeat what it was sent.
fn without_visitor(detail: String, event: &Event<'_, '_>) -> String {
    let Some((_, first)) = event.parts.first() else { return detail };
    let address = first.visit.address.map(|address| address.to_string());
    let own = [Some(first.visit.user_agent.to_owned()), address];
    own.into_iter()
        .flatten()
        .filter(|own| !own.is_empty())
        .fold(detail, |detail, own| detail.replace(&own, "(removed)"))
}
