//! Thousands of schedules of crashes, faults, races and clock jumps: no download is ever inserted twice or lost.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::{Instant, sleep};

use super::model::{Act, LEASE, World, downloads, transient, unknown};
use crate::client::retry::Backoff;
use crate::delivery::{Outcome, Report, Settings};
use crate::record::Download;
use crate::sink::ogc::answer::Answer;
use crate::sink::ogc::token::TokenError;

const SCHEDULES: u64 = 4000;

/// Polls `future` at most `polls` times, then drops it: a crash wherever it stands.
async fn crashing<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

fn act(rng: &mut Rng, faults: u32) -> Act {
    if rng.u32(0..100) >= faults {
        return Act::Work;
    }
    match rng.u32(0..12) {
        0 => Act::Say(transient(), None),
        1 => Act::Say(transient(), Some(503)),
        2 => Act::Say(transient(), Some(500)),
        3 => Act::Say(unknown(), Some(502)),
        4 => Act::InsertAndSay(unknown(), Some(504)),
        5 => Act::Say(Answer::TooLarge, Some(413)),
        6 => Act::Say(Answer::Unauthorized("expired".into()), Some(401)),
        7 => Act::Say(Answer::Misconfigured("moved".into()), Some(301)),
        8 => Act::InsertAndSay(Answer::Unfollowable("JOB_AUTH_ROLE".into()), Some(201)),
        9 => Act::Silent { insert_after: None },
        10 => Act::Silent { insert_after: Some(Duration::from_millis(rng.u64(0..100))) },
        _ => Act::Silent { insert_after: Some(Duration::from_secs(rng.u64(0..1200))) },
    }
}

fn settings(rng: &mut Rng) -> Settings {
    Settings {
        batch_max_records: rng.usize(1..8),
        batch_max_bytes: rng.usize(100..2000),
        lease: LEASE,
        backoff: Backoff { tries: rng.usize(1..4), ..Settings::default().backoff },
        headroom: Duration::from_secs(rng.u64(0..10)),
        ..Settings::default()
    }
}

/// What a report says must be so at that moment.
fn check(world: &World, given: &[Download], report: &Report) {
    assert_eq!(given.len(), report.outcomes.len());
    for (download, outcome) in given.iter().zip(&report.outcomes) {
        let (rows, held) = (world.rows_of(download), world.holds(download));
        match outcome {
            Outcome::Delivered => assert_eq!(rows, 1, "delivered: {download:?}"),
            Outcome::Held => assert!(held, "held: {download:?}"),
            Outcome::Rejected => assert!(world.quarantines(download), "rejected: {download:?}"),
            Outcome::Duplicate => {
                let repeats = given.iter().filter(|other| *other == download).count() > 1;
                assert!(rows == 1 || held || repeats, "duplicate: {download:?}");
            }
            Outcome::Pending => assert!(report.trouble.is_some(), "pending without a word: {download:?}"),
        }
    }
}

async fn schedule(seed: u64) {
    fastrand::seed(seed);
    let mut rng = Rng::with_seed(seed);
    let all = downloads(rng.u64(1..14));
    let bad: Vec<&Download> = all.iter().filter(|_| rng.u8(0..10) == 0).collect();
    let (faults, mut acts) = (rng.u32(0..70), rng.fork());
    let world = World::new(&bad, move |_| act(&mut acts, faults));
    let mut keeping = rng.fork();
    *world.keeping.lock().unwrap() = Box::new(move || match keeping.u8(0..20) {
        0 => (false, false),
        1 => (true, false),
        _ => (true, true),
    });
    let mut pace = rng.fork();
    *world.pace.lock().unwrap() =
        Box::new(move || Duration::from_millis(if pace.u8(0..4) == 0 { pace.u64(0..60_000) } else { 20 }));
    let ledger = world.ledger();
    for _ in 0..rng.usize(1..5) {
        // Some workers are tasks of one process, some are processes.
        let shared = Arc::new(world.delivery(&ledger, settings(&mut rng)));
        *world.token_error.lock().unwrap() =
            (rng.u8(0..12) == 0).then(|| TokenError::Transient { retry_after: None, message: "busy".into() });
        let workers: Vec<_> = (0..rng.usize(1..4))
            .map(|_| {
                let delivery = if rng.bool() {
                    Arc::clone(&shared)
                } else {
                    Arc::new(world.delivery(&ledger, settings(&mut rng)))
                };
                let given: Vec<Download> =
                    (0..rng.usize(1..=all.len() * 2)).map(|_| all[rng.usize(0..all.len())].clone()).collect();
                let polls = if rng.bool() { rng.usize(1..60) } else { usize::MAX };
                let (start, time) = (rng.u64(0..90), Duration::from_secs(rng.u64(1..400)));
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    sleep(Duration::from_secs(start)).await;
                    if let Some(report) = crashing(delivery.deliver(&given, Instant::now() + time), polls).await {
                        check(&world, &given, &report);
                    }
                })
            })
            .collect();
        for _ in 0..rng.usize(0..5) {
            sleep(Duration::from_secs(rng.u64(0..60))).await;
            *world.ahead.lock().unwrap() += rng.i64(-100..2000);
        }
        for worker in workers {
            worker.await.unwrap();
        }
    }
    settle(&world, &ledger, all).await;
}

/// All faults end; what was left must come to its end too.
async fn settle(world: &Arc<World>, ledger: &Arc<crate::ledger::Ledger>, all: Vec<Download>) {
    *world.script.lock().unwrap() = Box::new(|_| Act::Work);
    *world.keeping.lock().unwrap() = Box::new(|| (true, true));
    *world.token_error.lock().unwrap() = None;
    let mut left = all.clone();
    for _ in 0..3 {
        *world.ahead.lock().unwrap() += 10_000;
        sleep(Duration::from_secs(1)).await;
        let report =
            world.delivery(ledger, Settings::default()).deliver(&left, Instant::now() + Duration::from_hours(1)).await;
        check(world, &left, &report);
        let pending = report.outcomes.iter().map(|outcome| *outcome == Outcome::Pending);
        left = left.into_iter().zip(pending).filter_map(|(own, pending)| pending.then_some(own)).collect();
    }
    assert!(left.is_empty(), "pending for ever: {left:?}");
    sleep(Duration::from_hours(1)).await;
    for download in &all {
        let rows = world.rows_of(download);
        assert!(rows <= 1, "inserted {rows} times: {download:?}");
        assert!(rows == 1 || world.holds(download) || world.quarantines(download), "lost: {download:?}");
    }
}

struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}", self.0);
        }
    }
}

#[test]
fn nothing_is_lost_and_nothing_inserted_twice() {
    let next = Mutex::new(0..SCHEDULES);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(seed) = next.lock().unwrap().next() else { return };
                    let _seed = Seed(seed);
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
                    runtime.block_on(schedule(seed));
                }
            });
        }
    });
}
