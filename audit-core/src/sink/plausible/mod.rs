//! Posts downloads to Plausible, each once, and tells what became of every read.
//!
//! An event's keys are claimed in the ledger, noted as sent before its first byte leaves, and confirmed only once the server took it; a
//! server that did not take it leaves the download free to be sent again. A `202` with `x-plausible-dropped` is tried once more
//! later (a site's first seconds and a lock look like any other drop); what may or may not have arrived is never sent again.

mod answer;
pub mod check;
mod claims;
mod deliver;
mod ending;
mod late;
mod twins;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use reqwest::Url;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout_at};
use tracing::warn;
use uuid::Uuid;

use crate::analytics::window::Window;
use crate::analytics::{AnalyticsPolicy, Read, Visit};
use crate::client::Client;
use crate::client::retry::{Backoff, Waits};
use crate::clock::Clock;
use crate::ledger::{BatchId, Ledger, LedgerError, Owner};
use crate::record::Key;
use claims::{Claims, Event};
use deliver::Attempt;
use ending::Ending;
use twins::take_twins;

/// What became of one read. Of a download's parts one has the event's outcome and the others are duplicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnalyticsOutcome {
    /// Plausible took the event.
    Recorded,
    /// Plausible dropped it, twice.
    Dropped,
    /// Plausible refused it for good: to quarantine, with what it said.
    Rejected(String),
    /// It may or may not have arrived; never sent again.
    Ambiguous,
    /// Older than `PLAUSIBLE_MAX_AGE`; not sent.
    TooLate,
    /// No event by the operator's settings.
    Excluded,
    /// Part of a download that is an event already.
    Duplicate,
    /// Not settled: to be handed over again later.
    Pending,
    /// Dropped once: to be handed over again, but not within [`DROPPED_PAUSE`], since a new site or a lock looks the same.
    DroppedOnce,
}

impl AnalyticsOutcome {
    /// Whether the read need not be handed over again.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !matches!(self, Self::Pending | Self::DroppedOnce)
    }
}

/// Before a dropped event is tried again: more than a new site's 24 s.
pub const DROPPED_PAUSE: Duration = Duration::from_secs(30);

/// How patient the sink is.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// With one POST.
    post: Duration,
    /// The time that must be left to begin a POST: a shorter one would only put an event in doubt.
    least: Duration,
    /// Between tries of one event.
    backoff: Backoff,
    /// With a claim that is under way elsewhere.
    busy: Backoff,
    /// Before a dropped event is tried again.
    dropped: Duration,
}

const PATIENCE: Patience = Patience {
    post: Duration::from_secs(10),
    least: Duration::from_secs(1),
    backoff: Backoff { first: Duration::from_millis(500), cap: Duration::from_secs(30), tries: 6 },
    busy: Backoff { first: Duration::from_millis(100), cap: Duration::from_secs(1), tries: 5 },
    dropped: DROPPED_PAUSE,
};

/// For the ledger, after the time for sending: it must be done before the two seconds that an invocation keeps for its answer.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// Visitors share this many locks: enough that two seldom share one.
const STRIPES: usize = 256;

/// The analytics sink.
#[derive(Debug)]
pub struct PlausibleSink {
    policy: AnalyticsPolicy,
    ledger: Arc<Ledger>,
    client: Client,
    clock: Clock,
    url: Url,
    window: Window,
    patience: Patience,
    places: Semaphore,
    visitors: Vec<Mutex<()>>,
    /// Set while the server does not answer: then one event at a time finds out, and no more than one is put in doubt.
    down: AtomicBool,
    ending: Ending,
    /// The name to claim under where it outlives the process, so that the next one finds what was only claimed free.
    owner: Option<Owner>,
    /// Two attempts under one name would take each other's claims for theirs.
    turn: Mutex<()>,
}

/// The sink cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("PLAUSIBLE_API_URL: expected an http:// or https:// URL")]
pub struct UrlError;

/// A read that is an event or part of one.
#[derive(Debug)]
struct Part<'r> {
    /// Its place among the reads that were handed over.
    index: usize,
    visit: Visit<'r>,
}

/// What one attempt made of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Done(AnalyticsOutcome),
    /// Its download's claim is under way elsewhere.
    Busy,
    /// Dropped for the first time.
    DroppedOnce,
    Later,
}

impl PlausibleSink {
    /// A sink that posts through `client`. Its connections are best [fresh](crate::client::Connections::Fresh): on a kept one that the server has just
    /// closed, nobody could tell whether an event arrived.
    ///
    /// # Errors
    /// Where the configured URL is none.
    pub fn new(policy: AnalyticsPolicy, ledger: Arc<Ledger>, client: Client, clock: Clock) -> Result<Self, UrlError> {
        let url = format!("{}/api/event", policy.config.api_url.trim_end_matches('/')).parse().map_err(|_| UrlError)?;
        Ok(Self {
            window: Window::new(policy.config.window),
            places: Semaphore::new(policy.config.concurrency.get().min(Semaphore::MAX_PERMITS)),
            visitors: (0..STRIPES).map(|_| Mutex::default()).collect(),
            patience: PATIENCE,
            down: AtomicBool::new(false),
            ending: Ending::new(),
            owner: None,
            turn: Mutex::default(),
            policy,
            ledger,
            client,
            clock,
            url,
        })
    }

    /// Claims under the name `owner`, which no other process has; then reads are handed over one call after another. `None`: under a name of its own
    /// for each attempt.
    #[must_use]
    pub fn under(self, owner: Option<Owner>) -> Self {
        Self { owner, ..self }
    }

    /// Begins nothing any more: what is not under way comes back as [`AnalyticsOutcome::Pending`] at once, its claims given back.
    pub fn end(&self) {
        self.ending.ask();
    }

    /// Sends what is new among `reads`; tells what became of each, in their order. Nothing is begun that could not end by `until`, which should be
    /// nearer than the ledger's lease.
    ///
    /// [`AnalyticsOutcome::Pending`] reads are to be handed over again, after a pause of half a minute or so. A future that is dropped before its
    /// end leaves claims behind: until their lease ends, or for the next call [under](Self::under) the same name.
    pub async fn send(&self, reads: &[Read], until: Instant) -> Vec<AnalyticsOutcome> {
        self.send_all(reads, until, true).await
    }

    /// As [`send`](Self::send), but dropped events are not waited for: they come back as [`AnalyticsOutcome::DroppedOnce`].
    pub async fn send_now(&self, reads: &[Read], until: Instant) -> Vec<AnalyticsOutcome> {
        self.send_all(reads, until, false).await
    }

    /// What can be told without asking anybody: excluded and too late; all others are pending.
    #[must_use]
    pub fn look_over(&self, reads: &[Read]) -> Vec<AnalyticsOutcome> {
        let now = self.clock.now();
        let tell = |read| match self.policy.judge(read, now) {
            Err(_) => AnalyticsOutcome::Excluded,
            Ok(visit) if self.is_late(&visit, now) => AnalyticsOutcome::TooLate,
            Ok(_) => AnalyticsOutcome::Pending,
        };
        reads.iter().map(tell).collect()
    }

    /// Whether the server did not answer the last event; then one at a time is tried.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    async fn send_all(&self, reads: &[Read], until: Instant, wait: bool) -> Vec<AnalyticsOutcome> {
        // Without a turn there is no time left either, and nothing will be begun.
        let _turn = match self.owner {
            Some(_) => timeout_at(until, self.turn.lock()).await.ok(),
            None => None,
        };
        let now = self.clock.now();
        let mut outcomes = vec![AnalyticsOutcome::Pending; reads.len()];
        let mut parts = Vec::with_capacity(reads.len());
        for (index, read) in reads.iter().enumerate() {
            match self.policy.judge(read, now) {
                Ok(visit) => parts.push(Part { index, visit }),
                Err(_) => set(&mut outcomes, index, AnalyticsOutcome::Excluded),
            }
        }
        let twins = take_twins(&mut parts);
        let mut open = self.take_late(parts, now, &mut outcomes);

        let mut busy_waits = self.patience.busy.start();
        while !open.is_empty() {
            let fates = self.attempt(&open, until).await;
            let Some((at, again)) = self.next_attempt(&fates, &mut busy_waits, until, wait) else {
                settle_outcomes(open.into_iter().zip(fates), &mut outcomes);
                break;
            };
            let (next, done): (Vec<_>, Vec<_>) = open.into_iter().zip(fates).partition(|(_, fate)| *fate == again);
            settle_outcomes(done.into_iter(), &mut outcomes);
            open = next.into_iter().map(|(part, _)| part).collect();
            self.ending.sleep_until(at).await;
        }
        for (twin, own) in twins {
            let outcome = match outcomes.get(own) {
                Some(own) if own.is_settled() => AnalyticsOutcome::Duplicate,
                own => own.cloned().unwrap_or(AnalyticsOutcome::Pending),
            };
            set(&mut outcomes, twin, outcome);
        }
        outcomes
    }

    /// When to try again, and the parts of which fate: first those whose claims were taken, then those that were dropped.
    fn next_attempt(&self, fates: &[Fate], busy: &mut Waits, until: Instant, wait: bool) -> Option<(Instant, Fate)> {
        let dropped = fates.contains(&Fate::DroppedOnce);
        if fates.contains(&Fate::Busy) && !(dropped && wait) {
            return busy.next(None, until).map(|at| (at, Fate::Busy));
        }
        let at = Instant::now() + self.patience.dropped;
        (wait && dropped && at + self.patience.least < until).then_some((at, Fate::DroppedOnce))
    }

    async fn attempt(&self, parts: &[Part<'_>], until: Instant) -> Vec<Fate> {
        let mut claims = Claims::new(self, parts.len());
        // A claim that is cut off stays until its lease ends, and its reads wait as long: better none is begun.
        let time = self.ledger.time_for(parts.len() * self.window.keys_of_one());
        if self.ending.is_asked() || Instant::now() + time + self.patience.least > until {
            return vec![Fate::Later; parts.len()];
        }
        let events = match self.ending.in_time(until, claims.claim(parts)).await {
            Some(Ok(events)) => events,
            failed => {
                if let Some(Err(error)) = failed {
                    warn!(%error, "no analytics events are sent without the ledger; they wait");
                } else {
                    warn!("the ledger has not answered in time; analytics events wait");
                }
                // Under a lasting name the next call finds them free, and one that was sent before a crash must not come free with them.
                if self.owner.is_none() {
                    self.give_back(&claims.take_asked(), claims.owner, until).await;
                }
                return vec![Fate::Later; parts.len()];
            }
        };
        let attempt = Attempt::new(claims.owner, until);
        let mut visitors: HashMap<u64, Vec<Event<'_, '_>>> = HashMap::new();
        for event in events {
            let visitor = event.parts.first().map_or(0, |(_, first)| self.visitor(&first.visit));
            visitors.entry(visitor).or_default().push(event);
        }
        let concurrency = || if self.down.load(Ordering::Relaxed) { 1 } else { self.policy.config.concurrency.get() };
        let (mut waiting, mut sending) = (visitors.into_iter(), FuturesUnordered::new());
        let mut fates = claims.fates;
        loop {
            while sending.len() < concurrency()
                && let Some((visitor, events)) = waiting.next()
            {
                sending.push(self.deliver_in_turn(visitor, events, &attempt));
            }
            let Some(done) = sending.next().await else { break };
            for (event, fate) in done {
                let others = fate.of_others();
                for (place, (number, _)) in event.parts.iter().enumerate() {
                    if let Some(own) = fates.get_mut(*number) {
                        *own = if place == 0 { fate.clone() } else { others.clone() };
                    }
                }
            }
        }
        self.give_back(&attempt.take_unsent(), attempt.owner, until).await;
        fates
    }

    /// Frees what was not sent, all at once: one by one they would take what is left of the time.
    async fn give_back(&self, keys: &[Key], owner: Owner, until: Instant) {
        if keys.is_empty() {
            return;
        }
        let until = until.min(Instant::now() + self.patience.post) + LAST_MOMENT;
        match timeout_at(until, self.ledger.release(keys, owner)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "claims of analytics events stay until their lease ends"),
            Err(_) => warn!("claims of analytics events stay until their lease ends"),
        }
    }

    async fn deliver_in_turn<'p, 'r>(
        &self,
        visitor: u64,
        events: Vec<Event<'p, 'r>>,
        attempt: &Attempt,
    ) -> Vec<(Event<'p, 'r>, Fate)> {
        let mut done = Vec::with_capacity(events.len());
        for event in events {
            let fate = self.deliver(&event, visitor, attempt).await;
            done.push((event, fate));
        }
        done
    }

    /// Notes keys that `owner` claimed as dealt with.
    async fn settle(&self, keys: &[Key], owner: Owner) -> Result<(), LedgerError> {
        let batch = BatchId(Uuid::now_v7());
        self.ledger.sent(keys, owner, batch).await?;
        self.ledger.confirm(keys, batch).await
    }

    /// Bursts by one visitor meet a lock at the server and are dropped, so they queue here.
    fn stripe(&self, visitor: u64) -> &Mutex<()> {
        static SPARE: Mutex<()> = Mutex::const_new(());
        let index = usize::try_from(visitor % STRIPES as u64).unwrap_or_default();
        self.visitors.get(index).unwrap_or(&SPARE)
    }

    /// The same for all whom the server takes for one visitor: by the User-Agent that it is sent.
    fn visitor(&self, visit: &Visit<'_>) -> u64 {
        let mut hasher = DefaultHasher::new();
        (visit.address, self.policy.user_agent(visit)).hash(&mut hasher);
        hasher.finish()
    }
}

impl Fate {
    /// The fate of the other parts of an event.
    fn of_others(&self) -> Self {
        match self {
            Self::Done(_) => Self::Done(AnalyticsOutcome::Duplicate),
            Self::Busy => Self::Busy,
            Self::DroppedOnce => Self::DroppedOnce,
            Self::Later => Self::Later,
        }
    }
}

fn set(outcomes: &mut [AnalyticsOutcome], index: usize, outcome: AnalyticsOutcome) {
    if let Some(own) = outcomes.get_mut(index) {
        *own = outcome;
    }
}

fn settle_outcomes<'r>(parts: impl Iterator<Item = (Part<'r>, Fate)>, outcomes: &mut [AnalyticsOutcome]) {
    for (part, fate) in parts {
        match fate {
            Fate::Done(outcome) => set(outcomes, part.index, outcome),
            Fate::DroppedOnce => set(outcomes, part.index, AnalyticsOutcome::DroppedOnce),
            Fate::Busy | Fate::Later => {}
        }
    }
}

#[cfg(test)]
mod tests;
