//! Faults of the auth server and the resource server, side by side: each with servers and a receiver of its own.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};

use crate::receiver::{World, adds_up};

const ENTRIES: u64 = 200;
/// Scenarios at a time: they mostly wait.
const SIDE_BY_SIDE: usize = 6;
/// By when a fault that is over must be overcome.
const LIMIT: Duration = Duration::from_mins(2);

/// A fault, and how many downloads it may leave in doubt.
struct Case {
    name: &'static str,
    faults: Value,
    held: RangeInclusive<u64>,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    asynchronous: bool,
}

/// A fault of executions after which it is known that nothing was inserted.
fn clear(name: &'static str, fault: Value) -> Case {
    Case { name, faults: on("execution", fault), held: 0..=0, arguments: &[], environment: &[], asynchronous: false }
}

/// A fault of executions after which nobody knows: one batch is held, and should it last, each probe.
fn unknown(name: &'static str, fault: Value) -> Case {
    let times = fault["times"].as_u64().unwrap();
    Case { held: 1..=24 + times, ..clear(name, fault) }
}

fn on(target: &str, mut fault: Value) -> Value {
    fault["target"] = target.into();
    fault
}

impl Case {
    fn of(self, target: &str) -> Self {
        Self { faults: on(target, self.faults), ..self }
    }

    fn with(self, environment: &'static [(&'static str, &'static str)]) -> Self {
        Self { environment, ..self }
    }

    fn job(self) -> Self {
        Self { asynchronous: true, ..self }.with(&[("JOB_AUTH_ROLE", "provider")])
    }
}

/// A request ends at three quarters of the lease.
const SHORT: &[(&str, &str)] = &[("LEASE_SECONDS", "8")];

fn cases() -> Vec<Case> {
    vec![
        clear("500, insertion failed", json!({"database_down": true, "times": 3})),
        clear("500, process not looked up", json!({"lookup_failed": true, "times": 2})),
        clear("500, entry unreadable once", json!({"entry_unreadable": true, "times": 1, "after": 1})),
        clear("503", json!({"status": 503, "times": 3})),
        clear("503 with Retry-After", json!({"status": 503, "headers": {"Retry-After": "2"}, "times": 2})),
        clear("429", json!({"status": 429, "headers": {"Retry-After": "1"}, "times": 2})),
        clear("413", json!({"status": 413, "times": 1})),
        clear("redirect", json!({"status": 302, "headers": {"Location": "/elsewhere"}, "times": 3})),
        clear("404 for a while", json!({"status": 404, "times": 2})),
        clear("401 once", json!({"status": 401, "times": 1, "after": 2})),
        clear("slow drip", json!({"slow_drip_ms": 5, "times": 3})),
        unknown("500, unexplained (nothing inserted)", json!({"job_not_made": true, "times": 1, "after": 1})),
        unknown("500, unexplained (all inserted)", json!({"job_failed_after_commit": true, "times": 1, "after": 1})),
        unknown("502, HTML", json!({"status": 502, "html": true, "times": 1})),
        unknown("200, HTML instead of JSON", json!({"html": true, "after_commit": true, "times": 1})),
        unknown("504 after commit", json!({"status": 504, "after_commit": true, "times": 1})),
        unknown("reset before the request was read", json!({"reset": "before", "times": 2})),
        unknown("reset after the request", json!({"reset": "after_request", "times": 1})),
        unknown("answer lost after the commit", json!({"reset": "after_commit", "times": 2})),
        unknown("hang", json!({"hang": true, "times": 1, "after": 1})).with(SHORT),
        unknown("slow drip past the time limit", json!({"slow_drip_ms": 500, "times": 1})).with(SHORT),
        clear("auth server 503", json!({"status": 503, "times": 4})).of("auth"),
        clear("auth server refuses for a while", json!({"status": 401, "times": 2})).of("auth"),
        clear("auth server resets", json!({"reset": "after_request", "times": 2})).of("auth"),
        clear("job FAILED", json!({"database_down": true, "times": 2})).job(),
        clear("jobs not readable for a while", json!({"status": 503, "times": 3})).of("jobs").job(),
        unknown("job FAILED after the commit", json!({"job_failed_after_commit": true, "times": 1})).job(),
        Case {
            environment: &[("JOB_AUTH_ROLE", "provider"), ("LEASE_SECONDS", "8")],
            ..unknown("job never ending", json!({"job_stuck": true, "times": 1})).job()
        },
    ]
}

#[tokio::test]
async fn upstream_faults_lose_and_double_nothing() {
    LocalSet::new().run_until(all()).await;
}

async fn all() {
    let places = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut running = JoinSet::new();
    for (number, case) in cases().into_iter().enumerate() {
        let places = Arc::clone(&places);
        running.spawn_local(async move {
            let _place = places.acquire_owned().await;
            survive(case, number).await;
        });
    }
    let mut failed = Vec::new();
    while let Some(case) = running.join_next().await {
        failed.extend(case.err().map(|error| error.to_string()));
    }
    assert!(failed.is_empty(), "scenarios failed: {failed:#?}");
}

async fn survive(case: Case, number: usize) {
    let Case { name, faults, held, arguments, environment, asynchronous } = case;
    let mut world = World::new(arguments, environment).await;
    if asynchronous {
        world.asynchronous();
    }
    world.upstreams.fault(&faults).await.unwrap();
    world.start().await;
    let sent = world.load(&format!("u{number}")).send(0, ENTRIES).await;
    let metrics = world.settle(LIMIT).await;
    let fired = world.upstreams.get("/_dev/faults").await.unwrap();
    assert_eq!(fired[0]["fired"], fired[0]["fault"]["times"], "{name}: the fault did not happen");

    let account = world.account(&sent.downloads).await;
    account.exact(name);
    assert!(held.contains(&account.held), "{name}: {} held, expected {held:?}", account.held);
    adds_up(&metrics);
    assert_eq!(metrics["held"], account.held, "{name}: the held files and /metrics");
    assert_eq!(metrics["delivered_total"], account.sent - account.held, "{name}: delivered");
}
