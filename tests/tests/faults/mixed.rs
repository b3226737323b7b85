//! Faults of all kinds at random, by a seed that is printed.

use std::time::{Duration, Instant};

use e2e::Redis;
use serde_json::{Value, json};

use crate::account::say;
use crate::receiver::{World, adds_up};
use crate::seed;

const FOR_EVER: u64 = u64::MAX / 2;
/// After the last fault; probes of a server that did not answer for long come up to five minutes apart.
const LIMIT: Duration = Duration::from_mins(12);
/// What `make test` has time for.
const SHORT: Duration = Duration::from_secs(40);
const SOAK_MINUTES: u64 = 60;

/// What may go wrong with requests, and how likely it is for each.
fn upstream_faults(random: &mut fastrand::Rng) -> Vec<Value> {
    let mut faults = Vec::new();
    for (target, probability, fault) in [
        ("execution", 0.05, json!({"database_down": true})),
        ("execution", 0.02, json!({"lookup_failed": true})),
        ("execution", 0.05, json!({"status": 503, "headers": {"Retry-After": "1"}})),
        ("execution", 0.05, json!({"status": 429})),
        ("execution", 0.02, json!({"status": 302, "headers": {"Location": "/elsewhere"}})),
        ("execution", 0.05, json!({"status": 401})),
        ("execution", 0.02, json!({"status": 413})),
        ("execution", 0.02, json!({"job_not_made": true})),
        ("execution", 0.02, json!({"job_failed_after_commit": true})),
        ("execution", 0.02, json!({"reset": "before"})),
        ("execution", 0.02, json!({"reset": "after_request"})),
        ("execution", 0.02, json!({"reset": "after_commit"})),
        ("execution", 0.02, json!({"status": 502, "html": true})),
        ("execution", 0.005, json!({"hang": true})),
        ("execution", 0.02, json!({"slow_drip_ms": 5})),
        ("execution", 0.3, json!({"delay_ms": 20})),
        ("auth", 0.2, json!({"status": 503})),
        ("auth", 0.1, json!({"reset": "after_request"})),
        ("jobs", 0.1, json!({"status": 503})),
        ("jobs", 0.05, json!({"reset": "after_request"})),
    ] {
        let mut fault = fault;
        fault["target"] = target.into();
        fault["probability"] = probability.into();
        // The stand-ins read seeds as JSON numbers.
        fault["seed"] = random.u64(..1 << 50).into();
        faults.push(fault);
    }
    faults
}

/// One thing that happens to the machine.
async fn befall(world: &mut World, redis: Option<&mut Redis>, random: &mut fastrand::Rng) {
    match (random.u8(0..10), redis) {
        (0..3, _) => {
            world.process().kill().unwrap();
            world.start().await;
        }
        (3, _) => {
            assert!(world.process().terminate(Duration::from_secs(25)).await.unwrap().success());
            world.start().await;
        }
        (4, _) => {
            world.upstreams.process().kill().unwrap();
            tokio::time::sleep(Duration::from_millis(random.u64(100..2000))).await;
            world.upstreams.restart().await.unwrap();
            world.upstreams.fault(&upstream_faults(random).into()).await.unwrap();
        }
        (5, Some(redis)) => {
            redis.process().kill().unwrap();
            tokio::time::sleep(Duration::from_millis(random.u64(100..2000))).await;
            redis.restart().await.unwrap();
        }
        (6, _) => {
            world.process().signal("STOP").unwrap();
            tokio::time::sleep(Duration::from_millis(random.u64(100..3000))).await;
            world.process().signal("CONT").unwrap();
        }
        _ => tokio::time::sleep(Duration::from_millis(random.u64(100..1500))).await,
    }
}

async fn random_faults(scenario: &str, duration: Duration, in_redis: bool, asynchronous: bool) {
    let seed = seed(scenario);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut redis = if in_redis { Some(Redis::start().await.unwrap()) } else { None };
    let mut world =
        World::new(&["--token-seconds", "15"], &[("LEASE_SECONDS", "12"), ("JOB_AUTH_ROLE", "provider")]).await;
    if let Some(redis) = &redis {
        world.set("LEDGER_URL", &redis.url());
    }
    if asynchronous {
        world.asynchronous();
    }
    world.upstreams.fault(&upstream_faults(&mut random).into()).await.unwrap();
    world.start().await;
    let mut load = world.load(&format!("{seed:x}"));
    (load.seed, load.pause, load.repeats) = (seed, Duration::from_millis(50), 1);
    let running = load.start(0, FOR_EVER);
    let start = Instant::now();
    while start.elapsed() < duration {
        tokio::time::sleep(Duration::from_millis(random.u64(100..1500))).await;
        befall(&mut world, redis.as_mut(), &mut random).await;
    }
    world.upstreams.clear_faults().await.unwrap();
    let sent = running.stop().await.downloads;
    // A new process knows of no server that did not answer, and so does not wait for the next probe.
    assert!(world.process().terminate(Duration::from_secs(25)).await.unwrap().success());
    world.start().await;
    adds_up(&world.settle(LIMIT).await);
    world.account(&sent).await.exact(&format!("{scenario} for {} s", duration.as_secs()));
}

#[tokio::test]
async fn random_faults_lose_and_double_nothing() {
    random_faults("everything at random", SHORT, false, false).await;
}

#[tokio::test]
async fn random_faults_with_a_ledger_in_redis() {
    random_faults("everything at random, ledger in Redis, jobs", SHORT, true, true).await;
}

/// `make soak`.
#[tokio::test]
#[ignore = "takes SOAK_MINUTES"]
#[allow(clippy::disallowed_methods, reason = "a switch of the tests, not the product's configuration")]
async fn soak() {
    let minutes = std::env::var("SOAK_MINUTES").map_or(SOAK_MINUTES, |text| text.parse().expect("SOAK_MINUTES"));
    let end = Instant::now() + Duration::from_mins(minutes);
    let mut round: u64 = 0;
    while Instant::now() < end {
        let left = end.saturating_duration_since(Instant::now()).min(Duration::from_mins(5));
        let (in_redis, asynchronous) = (round % 2 == 1, round % 4 >= 2);
        random_faults(&format!("soak, round {round}"), left.max(SHORT), in_redis, asynchronous).await;
        round += 1;
    }
    say(&format!("soak | {round} rounds, nothing lost, nothing doubled"));
}
