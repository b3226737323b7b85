//! The requests of a run, one by one, for metrics that are told by run.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Requests that are kept: the last ones, where nobody takes them.
const KEPT: usize = 1000;

/// What requests to the resource server were like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Requests {
    /// How long each took to its answer, in seconds; of more than a thousand, the last ones.
    pub seconds: VecDeque<f64>,
    /// How many records were in each of the same.
    pub records: VecDeque<usize>,
    /// How often the server, the auth server, or the way there failed.
    pub errors: u64,
}

/// Requests since they were last taken.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Requests>);

impl Recent {
    pub(super) fn record(&self, took: Duration, records: usize) {
        let mut own = self.lock();
        own.seconds.push_back(took.as_secs_f64());
        own.records.push_back(records);
        if own.seconds.len() > KEPT {
            own.seconds.pop_front();
            own.records.pop_front();
        }
    }

    pub(super) fn failed(&self) {
        self.lock().errors += 1;
    }

    /// The requests since this was last asked.
    #[must_use]
    pub fn take(&self) -> Requests {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_taken_once_and_memory_is_bounded() {
        let recent = Recent::default();
        recent.record(Duration::from_millis(1500), 7);
        recent.failed();
        let taken = recent.take();
        assert_eq!((taken.seconds, taken.records, taken.errors), ([1.5].into(), [7].into(), 1));
        assert_eq!(recent.take(), Requests::default());
        for number in 0..KEPT + 2 {
            recent.record(Duration::ZERO, number);
        }
        let taken = recent.take();
        assert_eq!((taken.seconds.len(), taken.records.len(), taken.records[0]), (KEPT, KEPT, 2));
    }
}
