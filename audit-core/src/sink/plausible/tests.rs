use std::sync::Mutex as StdMutex;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::analytics::samples::{NOW, config, read};
use crate::client::{Connections, Trust};
use crate::ledger::{MemoryLedger, Terms};

mod claimed;
mod server;
use server::{Reply, Server};

const NO_PAUSE: Duration = Duration::ZERO;

struct Bench {
    sink: PlausibleSink,
    server: Server,
    now: Arc<StdMutex<Timestamp>>,
}

impl Bench {
    async fn new(
        variables: &[(&str, &str)],
        pause: Duration,
        reply: impl Fn(usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let server = Server::start(pause, reply).await;
        let now = Arc::new(StdMutex::new(NOW.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(5)));
        let told = Arc::clone(&now);
        let clock = Clock::from_fn(move || *told.lock().unwrap());
        let mut config = config(variables);
        config.api_url.clone_from(&server.url);
        let terms = Terms { lease: Duration::from_mins(15), ttl: Duration::from_hours(3) };
        let ledger = Arc::new(Ledger::Memory(MemoryLedger::new(terms, clock.clone())));
        let client = Client::new(Connections::Fresh, Trust::Web).unwrap();
        let policy = AnalyticsPolicy::new(config).unwrap();
        let mut sink = PlausibleSink::new(policy, ledger, client, clock).unwrap();
        sink.patience = Patience {
            post: Duration::from_secs(20),
            least: Duration::from_millis(10),
            backoff: Backoff { first: Duration::from_millis(5), cap: Duration::from_millis(20), tries: 3 },
            busy: Backoff { first: Duration::from_millis(20), cap: Duration::from_millis(100), tries: 200 },
            dropped: Duration::from_millis(50),
        };
        Self { sink, server, now }
    }

    /// Waits for no answer longer than a working server takes at its slowest.
    fn impatient(mut self) -> Self {
        self.sink.patience.post = Duration::from_secs(1);
        self
    }

    async fn send(&self, reads: &[Read]) -> Vec<AnalyticsOutcome> {
        self.sink.send(reads, Instant::now() + Duration::from_mins(1)).await
    }

    fn pass(&self, time: SignedDuration) {
        *self.now.lock().unwrap() += time;
    }
}

/// A read `second` seconds after the first, with an identity of its own.
fn part(second: i64, number: usize) -> Read {
    let at = NOW.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second);
    Read { time: Some(at.to_string()), identity: Some(format!("d:{number}:b:o")), ..read() }
}

fn count(outcomes: &[AnalyticsOutcome], outcome: &AnalyticsOutcome) -> usize {
    outcomes.iter().filter(|own| *own == outcome).count()
}

use AnalyticsOutcome::{Ambiguous, Dropped, DroppedOnce, Duplicate, Excluded, Pending, Recorded, Rejected, TooLate};

#[tokio::test]
async fn forty_parts_are_one_download() {
    let bench = Bench::new(&[], NO_PAUSE, |_| Reply::Accept).await;
    let parts: Vec<_> = (0..40).map(|number| part(i64::try_from(number).unwrap(), number)).collect();
    let outcomes = bench.send(&parts).await;
    assert_eq!((count(&outcomes, &Recorded), count(&outcomes, &Duplicate)), (1, 39));
    assert_eq!(count(&bench.send(&parts).await, &Duplicate), 40);
    let seen = bench.server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].headers["x-forwarded-for"], "203.0.113.7");
    assert!(seen[0].headers["user-agent"].starts_with("aws-cli/"));
    assert_eq!(seen[0].event["props"]["bytes"], "100 MB-1 GB");
}

#[tokio::test]
async fn forty_parts_handed_over_side_by_side_are_one_download() {
    let bench = Bench::new(&[], Duration::from_millis(50), |_| Reply::Accept).await;
    let parts: Vec<_> = (0..40).map(|number| part(i64::try_from(number).unwrap() / 2, number)).collect();
    let bench = Arc::new(bench);
    let sends = parts.into_iter().map(|part| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move { bench.send(&[part]).await })
    });
    let outcomes: Vec<_> = futures_util::future::join_all(sends).await.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!((count(&outcomes, &Recorded), count(&outcomes, &Duplicate)), (1, 39), "{outcomes:?}");
    assert_eq!(bench.server.recorded(), 1);
}

#[tokio::test]
async fn another_client_object_or_window_is_another_download() {
    let bench = Bench::new(&[], NO_PAUSE, |_| Reply::Accept).await;
    let reads = [
        part(0, 0),
        part(59, 1),
        part(60, 2),
        Read { user_agent: Some("rclone/v1.66.0".into()), ..part(0, 3) },
        Read { client_address: Some("203.0.113.8".into()), ..part(0, 4) },
        Read { key: "v0.1/spatial/parquet/spain.parquet".into(), ..part(0, 5) },
    ];
    let expected = [Recorded, Duplicate, Recorded, Recorded, Recorded, Recorded];
    assert_eq!(bench.send(&reads).await, expected);
    assert_eq!(bench.server.recorded(), 5);
}

#[tokio::test]
async fn parts_that_come_late_and_in_disorder_are_told_from_new_downloads() {
    let bench = Bench::new(&[], NO_PAUSE, |_| Reply::Accept).await;
    assert_eq!(bench.send(&[part(0, 0)]).await, [Recorded]);
    bench.pass(SignedDuration::from_mins(15));
    // In one batch: the end of the known download, and the beginning of the next.
    assert_eq!(bench.send(&[part(61, 3), part(59, 2), part(-30, 1)]).await, [Recorded, Duplicate, Duplicate]);
    assert_eq!(bench.send(&[part(120, 4), part(121, 5)]).await, [Duplicate, Recorded]);
}

#[tokio::test]
async fn audit_entry_and_notification_of_one_read_are_one() {
    let bench = Bench::new(&[], NO_PAUSE, |_| Reply::Accept).await;
    let entry = part(0, 0);
    let notification = Read { bytes: None, client_address: Some("203.0.113.99".into()), ..part(300, 0) };
    assert_eq!(bench.send(&[notification.clone(), entry.clone()]).await, [Duplicate, Recorded]);
    assert_eq!(bench.send(&[notification]).await, [Duplicate]);
    // Also where the one that came first was itself only part of a download.
    let part_of_it = part(10, 1);
    let its_notification = Read { client_address: Some("203.0.113.98".into()), ..part(300, 1) };
    assert_eq!(bench.send(&[part_of_it]).await, [Duplicate]);
    assert_eq!(bench.send(&[its_notification]).await, [Duplicate]);
    assert_eq!(bench.server.recorded(), 1);
}

#[tokio::test]
async fn a_failed_post_and_a_retry_are_one_download() {
    let bench = Bench::new(&[], NO_PAUSE, |number| if number < 3 { Reply::Status(503) } else { Reply::Accept }).await;
    let parts = [part(0, 0), part(1, 1)];
    assert_eq!(bench.send(&parts).await, [Pending, Pending]);
    assert_eq!(bench.send(&parts).await, [Recorded, Duplicate]);
    assert_eq!((bench.server.seen().len(), bench.server.recorded()), (4, 1));
}

#[tokio::test]
async fn passing_trouble_is_tried_again_at_once() {
    let bench =
        Bench::new(&[], NO_PAUSE, |number| [Reply::Status(500), Reply::Status(429), Reply::Accept][number.min(2)])
            .await;
    assert_eq!(bench.send(&[part(0, 0)]).await, [Recorded]);
}

#[tokio::test]
async fn a_refused_event_is_told_without_the_visitor_and_never_sent_again() {
    let bench = Bench::new(&[], NO_PAUSE, |_| Reply::Refuse).await;
    let outcomes = bench.send(&[part(0, 0)]).await;
    insta::assert_compact_debug_snapshot!(outcomes, @r#"[Rejected("status 400: {\"errors\":{\"props\":[\"(removed) is too long\"]}}")]"#);
    assert!(matches!(outcomes[0], Rejected(_)));
    assert_eq!(bench.send(&[part(0, 0), part(1, 1)]).await, [Duplicate, Duplicate]);
    assert_eq!(bench.server.seen().len(), 1);
}

#[tokio::test]
async fn what_may_have_arrived_is_not_sent_again() {
    for reply in [Reply::Reset, Reply::Hang, Reply::Garbage, Reply::Status(504)] {
        let bench = Bench::new(&[], NO_PAUSE, move |_| reply).await.impatient();
        assert_eq!(bench.send(&[part(0, 0), part(1, 1)]).await, [Ambiguous, Duplicate], "{reply:?}");
        assert_eq!(bench.send(&[part(0, 0), part(2, 2)]).await, [Duplicate, Duplicate], "{reply:?}");
        assert_eq!(bench.server.seen().len(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn a_hanging_server_puts_few_events_in_doubt() {
    let bench = Bench::new(&[("PLAUSIBLE_CONCURRENCY", "2")], NO_PAUSE, |_| Reply::Hang).await.impatient();
    let reads: Vec<_> =
        (0..20).map(|n| Read { client_address: Some(format!("203.0.113.{n}")), ..part(0, n) }).collect();
    let outcomes = bench.send(&reads).await;
    assert_eq!((count(&outcomes, &Ambiguous), count(&outcomes, &Pending)), (2, 18), "{outcomes:?}");
}

#[tokio::test]
async fn a_dropped_event_is_tried_once_more() {
    let warming_up = Bench::new(&[], NO_PAUSE, |number| if number == 0 { Reply::Drop } else { Reply::Accept }).await;
    assert_eq!(warming_up.send(&[part(0, 0), part(1, 1)]).await, [Recorded, Duplicate]);
    let always = Bench::new(&[], NO_PAUSE, |_| Reply::Drop).await;
    assert_eq!(always.send(&[part(0, 0), part(1, 1)]).await, [Dropped, Duplicate]);
    assert_eq!(always.send(&[part(0, 0)]).await, [Duplicate]);
    assert_eq!(always.server.seen().len(), 2);
}

#[tokio::test]
async fn a_drop_is_remembered_where_there_is_no_time_to_wait() {
    let mut bench = Bench::new(&[], NO_PAUSE, |_| Reply::Drop).await;
    bench.sink.patience.dropped = Duration::from_mins(10);
    let soon = || Instant::now() + Duration::from_mins(1);
    assert_eq!(bench.sink.send(&[part(0, 0)], soon()).await, [DroppedOnce]);
    // An earlier part turns up meanwhile: it is the same event still.
    assert_eq!(bench.sink.send(&[part(-1, 1), part(0, 0)], soon()).await, [Dropped, Duplicate]);
    assert_eq!(bench.server.seen().len(), 2);
}

#[tokio::test]
async fn a_drop_need_not_be_waited_for() {
    let bench = Bench::new(&[], NO_PAUSE, |number| if number == 0 { Reply::Drop } else { Reply::Accept }).await;
    let until = || Instant::now() + Duration::from_mins(1);
    assert_eq!(bench.sink.send_now(&[part(0, 0)], until()).await, [DroppedOnce]);
    assert_eq!(bench.sink.send_now(&[part(0, 0)], until()).await, [Recorded]);
}

#[tokio::test]
async fn a_server_that_hangs_gets_one_event_at_a_time() {
    let bench =
        Bench::new(
            &[("PLAUSIBLE_CONCURRENCY", "4")],
            NO_PAUSE,
            |number| {
                if number < 5 { Reply::Hang } else { Reply::Accept }
            },
        )
        .await
        .impatient();
    let reads: Vec<_> = (0..8).map(|n| Read { client_address: Some(format!("203.0.113.{n}")), ..part(0, n) }).collect();
    let first = bench.send(&reads).await;
    assert_eq!((count(&first, &Ambiguous), count(&first, &Pending)), (4, 4), "{first:?}");
    let second = bench.send(&reads).await;
    assert_eq!((count(&second, &Ambiguous), count(&second, &Pending)), (1, 3), "{second:?}");
    assert_eq!(count(&bench.send(&reads).await, &Recorded), 3);
}

#[tokio::test]
async fn old_reads_are_too_late_and_ask_nobody() {
    let bench = Bench::new(&[("PLAUSIBLE_MAX_AGE", "1h")], NO_PAUSE, |_| Reply::Accept).await;
    let old = |second: i64| part(second - 3600, 0);
    let reads = [Read { identity: None, ..old(0) }, Read { identity: None, ..old(20) }, old(200)];
    assert_eq!(bench.send(&reads).await, [TooLate, Duplicate, TooLate]);
    assert_eq!(bench.server.seen().len(), 0);
}

#[tokio::test]
async fn an_event_that_grew_old_while_it_waited_is_too_late() {
    let bench = Bench::new(&[], NO_PAUSE, |_| Reply::Status(503)).await;
    assert_eq!(bench.send(&[part(0, 0)]).await, [Pending]);
    bench.pass(SignedDuration::from_hours(1));
    assert_eq!(bench.send(&[part(0, 0)]).await, [TooLate]);
}

#[tokio::test]
async fn excluded_reads_are_told() {
    let bench = Bench::new(&[("PLAUSIBLE_EXCLUDE", "data/v0.1/**")], NO_PAUSE, |_| Reply::Accept).await;
    let other = Read { client_address: None, ..part(0, 1) };
    assert_eq!(bench.send(&[part(0, 0), other]).await, [Excluded, Excluded]);
    assert_eq!(bench.send(&[]).await, []);
}

#[tokio::test]
async fn whatever_a_client_calls_itself_its_request_is_one() {
    let bench = Bench::new(&[], NO_PAUSE, |_| Reply::Accept).await;
    let long = "é".repeat(3000);
    for (number, user_agent) in [
        "Ünï/1 (日本語)",
        "[[curl/8] \u{7f}\u{85}]",
        "x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\nGET /",
        "\0\u{1}",
        " ",
        "é\u{202e}",
        long.as_str(),
    ]
    .into_iter()
    .enumerate()
    {
        let read = Read { user_agent: Some(user_agent.into()), ..part(0, number) };
        assert_eq!(bench.send(&[read]).await, [Recorded], "{user_agent:?}");
        let seen = bench.server.seen().pop().unwrap();
        assert_eq!(seen.headers["x-forwarded-for"], "203.0.113.7", "{user_agent:?}");
        assert!(seen.headers["user-agent"].len() <= 1000 && !seen.headers["user-agent"].contains(char::is_control));
        let prop = seen.event["props"]["user_agent"].as_str().unwrap_or_default();
        assert!(prop.len() <= 2000 && !prop.contains(char::is_control), "{prop:?}");
        assert_eq!(prop.ends_with('…'), user_agent == long, "{prop:?}");
    }
    assert_eq!(bench.server.seen().len(), 7);
}

#[tokio::test]
async fn a_server_out_of_reach_leaves_everything_pending() {
    let mut bench = Bench::new(&[], NO_PAUSE, |_| Reply::Accept).await;
    let right = std::mem::replace(&mut bench.sink.url, "http://127.0.0.1:9/api/event".parse().unwrap());
    assert_eq!(bench.send(&[part(0, 0)]).await, [Pending]);
    bench.sink.url = right;
    assert_eq!(bench.send(&[part(0, 0)]).await, [Recorded]);
}

#[tokio::test]
async fn one_visitor_queues_and_others_go_side_by_side() {
    let bench = Bench::new(&[], Duration::from_millis(20), |_| Reply::Accept).await;
    let reads: Vec<_> = (0..60)
        .map(|n| Read {
            client_address: Some(format!("203.0.113.{}", n % 20)),
            key: format!("v1/a/b/{n}.parquet"),
            ..part(0, n)
        })
        .collect();
    let (some, others) = reads.split_at(30);
    let outcomes = tokio::join!(bench.send(some), bench.send(others));
    assert_eq!(count(&outcomes.0, &Recorded) + count(&outcomes.1, &Recorded), 60);
    assert!(!bench.server.overlapped());
    assert!((2..=8).contains(&bench.server.most_under_way()), "{}", bench.server.most_under_way());
}

/// The server sees the User-Agent that it is sent, not the client's own.
#[tokio::test]
async fn clients_that_look_alike_to_the_server_queue_too() {
    let neutral = [("PLAUSIBLE_USER_AGENT", "neutral")];
    let bench = Bench::new(&neutral, Duration::from_millis(20), |_| Reply::Accept).await;
    let reads: Vec<_> = (0..20)
        .map(|n| Read {
            user_agent: Some(format!("aws-cli/2.15.30 md/command#s3.{n}")),
            key: format!("v1/a/b/{n}.parquet"),
            ..part(0, n)
        })
        .collect();
    assert_eq!(count(&bench.send(&reads).await, &Recorded), 20);
    assert_eq!(bench.server.most_under_way(), 1);
}

#[tokio::test]
async fn what_there_is_no_time_for_is_free_at_once() {
    let bench = Bench::new(&[("PLAUSIBLE_CONCURRENCY", "1")], Duration::from_millis(50), |_| Reply::Accept).await;
    let reads: Vec<_> =
        (0..40).map(|n| Read { client_address: Some(format!("203.0.113.{n}")), ..part(0, n) }).collect();
    let first = bench.sink.send(&reads, Instant::now() + Duration::from_millis(400)).await;
    // The last one may be cut off.
    let settled = count(&first, &Recorded) + count(&first, &Ambiguous);
    assert!(settled < 40 && settled + count(&first, &Pending) == 40, "{first:?}");
    let second = bench.send(&reads).await;
    assert_eq!((count(&second, &Duplicate), count(&second, &Recorded)), (settled, 40 - settled), "{second:?}");
}

#[tokio::test]
async fn an_event_whose_sender_died_is_in_doubt_once() {
    let bench = Bench::new(&[], NO_PAUSE, |_| Reply::Accept).await;
    let sink = &bench.sink;
    let reads = [part(0, 0), part(1, 1)];
    let parts: Vec<_> = reads
        .iter()
        .enumerate()
        .map(|(index, read)| Part { index, visit: sink.policy.judge(read, sink.clock.now()).unwrap() })
        .collect();
    let mut claims = Claims::new(sink, 2);
    let events = claims.claim(&parts).await.unwrap();
    sink.ledger.sent(&events[0].keys, claims.owner, BatchId(Uuid::now_v7())).await.unwrap();
    assert_eq!(bench.sink.send(&reads, Instant::now() + Duration::from_millis(50)).await, [Pending, Pending]);
    bench.pass(SignedDuration::from_mins(16));
    assert_eq!(bench.send(&reads).await, [Ambiguous, Duplicate]);
    assert_eq!(bench.send(&reads).await, [Duplicate, Duplicate]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However the parts of downloads that lie well apart are shuffled, handed over and failed in between, each counts once.
    #[test]
    fn each_download_counts_once(
        seconds in prop::collection::vec((0..3_i64, 0..30_i64), 1..30).prop_shuffle(), size in 1..10_usize, failures in 0..6_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let reply = move |number| if number % 2 == 0 && number / 2 < failures { Reply::Status(503) } else { Reply::Accept };
            let bench = Bench::new(&[], NO_PAUSE, reply).await;
            let parts: Vec<_> = seconds.iter().enumerate().map(|(n, (download, at))| part(download * 100 + at - 280, n)).collect();
            let mut downloads: Vec<_> = seconds.iter().map(|(download, _)| download).collect();
            downloads.sort_unstable();
            downloads.dedup();
            for _ in 0..2 {
                for batch in parts.chunks(size) {
                    let mut open = batch.to_vec();
                    while !open.is_empty() {
                        let outcomes = bench.send(&open).await;
                        open = open.into_iter().zip(outcomes).filter(|(_, outcome)| *outcome == Pending).map(|(part, _)| part).collect();
                    }
                }
            }
            assert_eq!(bench.server.recorded(), downloads.len());
        });
    }
}
