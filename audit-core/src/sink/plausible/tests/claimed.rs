//! What is claimed and was not sent: free again at once, for whoever hands it over next.

use super::*;

fn parts<'r>(sink: &PlausibleSink, reads: &'r [Read]) -> Vec<Part<'r>> {
    let judged = |(index, read)| Part { index, visit: sink.policy.judge(read, sink.clock.now()).unwrap() };
    reads.iter().enumerate().map(judged).collect()
}

fn within(milliseconds: u64) -> Instant {
    Instant::now() + Duration::from_millis(milliseconds)
}

async fn bench() -> Bench {
    Bench::new(&[], NO_PAUSE, |_| Reply::Accept).await
}

#[tokio::test]
async fn under_one_name_claims_outlive_no_process() {
    let reads = [part(0, 0), part(1, 1)];
    let cases = [(Some(Owner(Uuid::nil())), 20_000, [Recorded, Duplicate]), (None, 200, [Pending, Pending])];
    for (owner, milliseconds, expected) in cases {
        let mut bench = bench().await;
        bench.sink = bench.sink.under(owner);
        Claims::new(&bench.sink, 2).claim(&parts(&bench.sink, &reads)).await.unwrap();
        assert_eq!(bench.sink.send(&reads, within(milliseconds)).await, expected, "{owner:?}");
    }
}

#[tokio::test]
async fn under_one_name_calls_wait_for_each_other() {
    let mut bench = Bench::new(&[], Duration::from_millis(50), |_| Reply::Accept).await;
    bench.sink = bench.sink.under(Some(Owner(Uuid::nil())));
    let reads = [part(0, 0)];
    let (one, other) = tokio::join!(bench.send(&reads), bench.send(&reads));
    let outcomes = [one, other].concat();
    assert_eq!((count(&outcomes, &Recorded), count(&outcomes, &Duplicate)), (1, 1), "{outcomes:?}");
}

#[tokio::test]
async fn an_attempt_that_fails_gives_back_what_it_asked_for() {
    let bench = bench().await;
    let reads = [part(0, 0), part(1, 1), part(70, 2)];
    let mut claims = Claims::new(&bench.sink, 3);
    claims.claim(&parts(&bench.sink, &reads)).await.unwrap();
    bench.sink.give_back(&claims.take_asked(), claims.owner, within(20_000)).await;
    assert_eq!(bench.sink.send(&reads, within(20_000)).await, [Recorded, Duplicate, Recorded]);
}

#[tokio::test]
async fn nothing_is_begun_after_the_end_is_asked_for() {
    let first = Bench::new(&[("PLAUSIBLE_CONCURRENCY", "1")], Duration::from_millis(100), |_| Reply::Accept).await;
    let reads: Vec<_> =
        (0..40).map(|n| Read { client_address: Some(format!("203.0.113.{n}")), ..part(0, n) }).collect();
    let asked = async {
        while first.server.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        first.sink.end();
    };
    let (outcomes, ()) = tokio::join!(first.send(&reads), asked);
    let recorded = count(&outcomes, &Recorded);
    assert!(recorded > 0 && recorded < 40 && recorded + count(&outcomes, &Pending) == 40, "{outcomes:?}");
    assert_eq!(first.send(&reads).await, vec![Pending; 40]);

    // The next process, with the same ledger.
    let mut next = bench().await;
    next.sink.ledger = Arc::clone(&first.sink.ledger);
    let outcomes = next.sink.send(&reads, within(20_000)).await;
    assert_eq!((count(&outcomes, &Recorded), count(&outcomes, &Duplicate)), (40 - recorded, recorded), "{outcomes:?}");
}

#[tokio::test]
async fn a_pause_between_tries_ends_with_the_program() {
    let mut bench = Bench::new(&[], NO_PAUSE, |_| Reply::Status(503)).await;
    bench.sink.patience.backoff = Backoff { first: Duration::from_secs(40), cap: Duration::from_secs(40), tries: 3 };
    let reads = [part(0, 0)];
    let asked = async {
        while bench.server.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bench.sink.end();
    };
    let begun = Instant::now();
    let (outcomes, ()) = tokio::join!(bench.send(&reads), asked);
    assert_eq!(outcomes, [Pending]);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let mut claims = Claims::new(&bench.sink, 1);
    assert_eq!(claims.claim(&parts(&bench.sink, &reads)).await.unwrap().len(), 1, "free, and not in doubt");
}

#[tokio::test]
async fn a_download_that_straddles_the_age_is_one() {
    let bench = Bench::new(&[("PLAUSIBLE_MAX_AGE", "1h")], NO_PAUSE, |_| Reply::Accept).await;
    let old = |second: i64, number| part(second - 3300, number);
    // The limit is at the second 0; another download ends well before it.
    let reads = [old(-20, 0), old(10, 1), old(-300, 2), old(-290, 3), old(-1, 4)];
    assert_eq!(bench.send(&reads).await, [Recorded, Duplicate, TooLate, Duplicate, Duplicate]);
    assert_eq!(bench.server.recorded(), 1);
}
