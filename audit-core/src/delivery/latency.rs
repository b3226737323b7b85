//! How long the server takes, as a histogram.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in seconds; one more bucket takes what is longer.
pub const BOUNDS_SECONDS: [f64; 10] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Durations of requests, counted by bucket.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; BOUNDS_SECONDS.len() + 1],
    sum_micros: AtomicU64,
}

/// What was counted so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Requests at most as long as each of [`BOUNDS_SECONDS`].
    pub cumulative: [u64; BOUNDS_SECONDS.len()],
    /// All requests.
    pub count: u64,
    /// Their durations together, in seconds.
    pub sum_seconds: f64,
}

impl Latency {
    pub(super) fn record(&self, took: Duration) {
        let bucket = BOUNDS_SECONDS.partition_point(|&bound| bound < took.as_secs_f64());
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let mut count = 0;
        let mut cumulative = [0; BOUNDS_SECONDS.len()];
        for (at, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            if let Some(up_to) = cumulative.get_mut(at) {
                *up_to = count;
            }
        }
        let sum_seconds = Duration::from_micros(self.sum_micros.load(Ordering::Relaxed)).as_secs_f64();
        Seen { cumulative, count, sum_seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_counts_once_and_in_all_wider_buckets() {
        let latency = Latency::default();
        for millis in [10, 11, 600, 31_000] {
            latency.record(Duration::from_millis(millis));
        }
        let seen = latency.seen();
        assert_eq!(seen.cumulative, [1, 2, 2, 2, 2, 3, 3, 3, 3, 3]);
        assert_eq!(seen.count, 4);
        assert!((seen.sum_seconds - 31.621).abs() < 1e-9);
    }
}
