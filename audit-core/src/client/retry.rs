//! When to try again: exponential delays with jitter, what `Retry-After` asks for, never past the deadline.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use http::{HeaderMap, header};
use jiff::Timestamp;
use tokio::time::Instant;

/// How long to wait between tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second try; doubled for each further one, and up to as much again added at random.
    pub first: Duration,
    /// The longest wait, also where `Retry-After` asks for more.
    pub cap: Duration,
    /// How many tries there may be, the first included.
    pub tries: usize,
}

impl Backoff {
    /// The waits after one first try.
    #[must_use]
    pub fn start(&self) -> Waits {
        self.build(ExponentialBuilder::default().with_jitter())
    }

    fn build(&self, builder: ExponentialBuilder) -> Waits {
        let delays = builder
            .with_min_delay(self.first)
            .with_max_delay(self.cap)
            .with_max_times(self.tries.saturating_sub(1))
            .build();
        Waits { delays: Box::new(delays), cap: self.cap }
    }
}

/// The waits between the tries of one thing.
pub struct Waits {
    delays: Box<dyn Iterator<Item = Duration> + Send + Sync>,
    cap: Duration,
}

impl std::fmt::Debug for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waits").field("cap", &self.cap).finish_non_exhaustive()
    }
}

impl Waits {
    /// When to try next; `None` when the tries are used up or that would not be before `until`.
    pub fn next(&mut self, retry_after: Option<Duration>, until: Instant) -> Option<Instant> {
        let delay = self.delays.next()?.max(retry_after.unwrap_or_default()).min(self.cap);
        Instant::now().checked_add(delay).filter(|&at| at < until)
    }
}

/// What `Retry-After` asks for: seconds, or a date, which counts from `now`.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_millis(500), cap: Duration::from_mins(1), tries: 10 };

    fn far() -> Instant {
        Instant::now() + Duration::from_hours(1)
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_to_the_cap_and_end() {
        let mut waits = BACKOFF.build(ExponentialBuilder::default());
        let now = Instant::now();
        let millis: Vec<_> = std::iter::from_fn(|| waits.next(None, far())).map(|at| (at - now).as_millis()).collect();
        insta::assert_compact_debug_snapshot!(millis, @"[500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]");
    }

    #[tokio::test(start_paused = true)]
    async fn jitter_adds_up_to_as_much_again() {
        for _ in 0..1000 {
            let wait = BACKOFF.start().next(None, far()).unwrap() - Instant::now();
            assert!((500..=1000).contains(&wait.as_millis()), "{wait:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_may_ask_for_longer_but_not_beyond_the_cap_or_the_deadline() {
        let wait = |asked, until| {
            BACKOFF
                .build(ExponentialBuilder::default())
                .next(Some(Duration::from_secs(asked)), until)
                .map(|at| at - Instant::now())
        };
        assert_eq!(wait(0, far()), Some(Duration::from_millis(500)));
        assert_eq!(wait(7, far()), Some(Duration::from_secs(7)));
        assert_eq!(wait(3000, far()), Some(Duration::from_mins(1)));
        assert_eq!(wait(7, Instant::now() + Duration::from_secs(7)), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let asked = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(asked("17"), Some(17));
        assert_eq!(asked("Fri, 02 Jan 2026 03:05:05 GMT"), Some(60));
        assert_eq!(asked("Fri, 02 Jan 2026 03:00:00 GMT"), Some(0));
        assert_eq!(asked("soon"), None);
        assert_eq!(asked("-1"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
