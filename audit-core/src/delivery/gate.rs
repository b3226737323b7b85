//! Whether batches may be sent, only probes, or nothing: shared by all that deliver in this process.
//!
//! A server that takes requests and does not answer would turn every batch into a held one. So after an unknown outcome only
//! single records are sent, one at a time and ever more seldom, until one is answered.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Turn, MutexGuard as Probe};
use tokio::time::Instant;

use crate::client::retry::{Backoff, Waits};

/// How long nothing is sent before it is asked again whether jobs can be followed.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// How long a probe that is under way elsewhere is given before asking again.
const PROBE_ELSEWHERE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    probe: Turn<()>,
    backoff: Backoff,
}

#[derive(Debug)]
enum State {
    Open,
    Probing { not_before: Instant, waits: Waits },
    Blocked { why: String, ask_at: Instant },
}

/// What may be sent now.
#[derive(Debug)]
pub(super) enum Pass<'a> {
    /// Batches.
    Open,
    /// One record; nobody else probes while this is kept.
    Probe(#[expect(dead_code, reason = "kept for its drop, which lets others probe")] Probe<'a, ()>),
    /// Nothing before then.
    Wait(Instant),
    /// Nothing, until what is told here is mended.
    Blocked(String),
    /// Nothing before it was asked whether that is mended; nobody else asks while this is kept.
    Ask(#[expect(dead_code, reason = "kept for its drop, which lets others ask")] Probe<'a, ()>),
}

impl Gate {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { state: Mutex::new(State::Open), probe: Turn::new(()), backoff }
    }

    pub(super) fn pass(&self) -> Pass<'_> {
        let now = Instant::now();
        match &*self.state() {
            State::Open => Pass::Open,
            State::Blocked { why, ask_at } => {
                let turn = if *ask_at > now { None } else { self.probe.try_lock().ok() };
                turn.map_or_else(|| Pass::Blocked(why.clone()), Pass::Ask)
            }
            State::Probing { not_before, .. } if *not_before > now => Pass::Wait(*not_before),
            State::Probing { .. } => self.probe.try_lock().map_or(Pass::Wait(now + PROBE_ELSEWHERE), Pass::Probe),
        }
    }

    /// The server has answered, whatever it said.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        if let State::Probing { .. } = *state {
            *state = State::Open;
        }
    }

    /// The server has left an outcome unknown.
    pub(super) fn unanswered(&self) {
        let now = Instant::now();
        let mut state = self.state();
        match &mut *state {
            State::Open => {
                let mut waits = self.backoff.start();
                *state = State::Probing { not_before: next(&mut waits, now, self.backoff.cap), waits };
            }
            State::Probing { not_before, waits } => *not_before = next(waits, now, self.backoff.cap),
            State::Blocked { .. } => {}
        }
    }

    pub(super) fn block(&self, why: &str) {
        *self.state() = State::Blocked { why: why.to_owned(), ask_at: Instant::now() + ASK_AGAIN };
    }

    /// What blocked is mended, as far as can be known without sending: a single record shows the rest.
    pub(super) fn unblock(&self) {
        *self.state() = State::Probing { not_before: Instant::now(), waits: self.backoff.start() };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A state is replaced as a whole, so what a panicking thread left is sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn next(waits: &mut Waits, now: Instant, cap: Duration) -> Instant {
    waits.next(None, now + cap * 2).unwrap_or(now + cap)
}
