//! How often each stand-in was asked, and what it answered.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::faults::Target;

type ByAnswer = BTreeMap<String, u64>;

/// Requests by target and answer: a status, or what was done instead of answering (`reset`, `hang`).
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<BTreeMap<Target, ByAnswer>>);

impl Counts {
    pub(crate) fn add(&self, target: Target, answer: impl Into<String>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(target).or_default().entry(answer.into()).or_default() += 1;
    }

    pub(crate) fn snapshot(&self) -> BTreeMap<Target, ByAnswer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
