//! The faults that are switched on, and which of them is due.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::{Fault, Target};

/// Every fault switched on, in the order they came.
#[derive(Default)]
pub(crate) struct Book(Mutex<Vec<Entry>>);

struct Entry {
    fault: Arc<Fault>,
    passes: u64,
    left: Option<u64>,
    fired: u64,
    random: fastrand::Rng,
}

/// A fault, and how often it happened.
#[derive(Serialize)]
pub(crate) struct Shown {
    fault: Arc<Fault>,
    fired: u64,
}

impl Book {
    pub(crate) fn add(&self, faults: Vec<Fault>) {
        self.entries().extend(faults.into_iter().map(|fault| Entry {
            passes: fault.after,
            left: fault.times,
            fired: 0,
            random: fastrand::Rng::with_seed(fault.seed),
            fault: Arc::new(fault),
        }));
    }

    pub(crate) fn clear(&self) {
        self.entries().clear();
    }

    pub(crate) fn show(&self) -> Vec<Shown> {
        self.entries().iter().map(|entry| Shown { fault: Arc::clone(&entry.fault), fired: entry.fired }).collect()
    }

    /// The first fault that befalls this request of `target`; at most one does.
    pub(crate) fn due(&self, target: Target) -> Option<Arc<Fault>> {
        self.entries().iter_mut().filter(|entry| entry.fault.target == target).find_map(Entry::fire)
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn fire(&mut self) -> Option<Arc<Fault>> {
        if self.left == Some(0) {
            return None;
        }
        if self.passes > 0 {
            self.passes -= 1;
            return None;
        }
        if self.random.f64() >= self.fault.probability {
            return None;
        }
        self.left = self.left.map(|left| left - 1);
        self.fired += 1;
        Some(Arc::clone(&self.fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(book: &Book, requests: usize) -> Vec<bool> {
        (0..requests).map(|_| book.due(Target::Auth).is_some()).collect()
    }

    fn book(json: &str) -> Book {
        let book = Book::default();
        book.add(vec![serde_json::from_str(json).unwrap()]);
        book
    }

    #[test]
    fn it_begins_after_and_ends_with_times() {
        let book = book(r#"{"target":"auth","after":1,"times":2,"hang":true}"#);
        assert!(book.due(Target::Event).is_none());
        assert_eq!(fired(&book, 5), [false, true, true, false, false]);
    }

    #[test]
    fn chance_is_the_same_in_each_run() {
        let json = r#"{"target":"auth","probability":0.2,"seed":7,"hang":true}"#;
        let first = fired(&book(json), 1000);
        assert_eq!(first, fired(&book(json), 1000));
        let count = first.iter().filter(|fired| **fired).count();
        assert!((150..250).contains(&count), "{count}");
    }
}
