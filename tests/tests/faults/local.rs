//! Faults of the receiver's own machine: killed, stopped, without room, without its ledger.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::process::Directory;
use e2e::{Redis, tools};
use serde_json::json;

use crate::account::say;
use crate::receiver::{World, adds_up};
use crate::seed;

/// How long a receiver is killed again and again.
const KILLING: Duration = Duration::from_secs(20);
const LIMIT: Duration = Duration::from_mins(2);
const FOR_EVER: u64 = u64::MAX / 2;
/// Long enough for a kill to meet a request that is under way.
const SLOWLY: u64 = 20;

/// Kills the receiver under load every few hundred milliseconds, and answers how often.
async fn killing(world: &mut World, seed: u64, run: &str) -> (u64, Vec<crate::entry::Download>) {
    world.upstreams.fault(&json!({"target": "execution", "delay_ms": SLOWLY})).await.unwrap();
    let mut load = world.load(run);
    (load.seed, load.pause) = (seed, Duration::from_millis(10));
    let running = load.start(0, FOR_EVER);
    let mut random = fastrand::Rng::with_seed(seed);
    let (start, mut kills) = (Instant::now(), 0);
    while start.elapsed() < KILLING {
        world.start().await;
        tokio::time::sleep(Duration::from_millis(random.u64(50..500))).await;
        world.process().kill().unwrap();
        kills += 1;
    }
    world.start().await;
    (kills, running.stop().await.downloads)
}

#[tokio::test]
async fn a_killed_receiver_loses_and_doubles_nothing() {
    let seed = seed("kill -9");
    let mut world = World::new(&[], &[]).await;
    let (kills, sent) = killing(&mut world, seed, "kill").await;
    adds_up(&world.settle(LIMIT).await);
    let account = world.account(&sent).await;
    account.exact(&format!("kill -9 of the receiver, {kills} times"));
    assert!(account.held <= 25 * kills, "{} held by {kills} kills", account.held);
}

#[tokio::test]
async fn a_killed_receiver_finds_its_claims_in_redis() {
    let seed = seed("kill -9, Redis");
    let redis = Redis::start().await.unwrap();
    // No claim comes free by its lease within this test: the process that owns the spool must know its own.
    let mut world = World::new(&[], &[("LEDGER_URL", &redis.url()), ("LEASE_SECONDS", "900")]).await;
    let (kills, sent) = killing(&mut world, seed, "redis-kill").await;
    adds_up(&world.settle(LIMIT).await);
    let account = world.account(&sent).await;
    account.exact(&format!("kill -9 of the receiver with its ledger in Redis, {kills} times"));
    assert!(account.held <= 25 * kills, "{} held by {kills} kills", account.held);
}

#[tokio::test]
async fn a_stopped_receiver_leaves_nothing_in_doubt() {
    let seed = seed("SIGTERM");
    let mut world = World::new(&[], &[]).await;
    world.upstreams.fault(&json!({"target": "execution", "delay_ms": SLOWLY})).await.unwrap();
    let mut load = world.load("term");
    (load.seed, load.pause) = (seed, Duration::from_millis(10));
    let running = load.start(0, FOR_EVER);
    let mut random = fastrand::Rng::with_seed(seed);
    let stops = 12;
    for _ in 0..stops {
        world.start().await;
        tokio::time::sleep(Duration::from_millis(random.u64(50..500))).await;
        let status = world.process().terminate(Duration::from_secs(25)).await.unwrap();
        assert!(status.success(), "{status}");
    }
    world.start().await;
    let sent = running.stop().await.downloads;
    adds_up(&world.settle(LIMIT).await);
    let account = world.account(&sent).await;
    account.exact(&format!("SIGTERM, {stops} times"));
    assert_eq!(account.held, 0);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_server_that_hangs() {
    let mut world = World::new(&[], &[]).await;
    world.upstreams.fault(&json!({"target": "execution", "hang": true, "times": 1})).await.unwrap();
    world.start().await;
    let sent = world.load("stop-hang").send(0, 100).await.downloads;
    let stop = Instant::now();
    let status = world.process().terminate(Duration::from_secs(25)).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(stop.elapsed() < Duration::from_secs(15), "took {:?}", stop.elapsed());
    world.start().await;
    world.settle(LIMIT).await;
    let account = world.account(&sent).await;
    account.exact("SIGTERM while the server hangs");
    assert!((1..=25).contains(&account.held), "{} held", account.held);
}

#[tokio::test]
async fn a_second_receiver_on_the_same_spool_is_refused() {
    let mut world = World::new(&[], &[]).await;
    world.start().await;
    let mut second = world.second();
    let status = second.exited(Duration::from_secs(30)).await.unwrap();
    assert!(!status.success());
    let log = second.log_tail();
    assert!(log.contains("in use by another process"), "{log}");
    let sent = world.load("second").send(0, 100).await.downloads;
    adds_up(&world.settle(LIMIT).await);
    world.account(&sent).await.exact("a second receiver started on the same spool");
}

#[tokio::test]
async fn a_ledger_that_goes_away_and_comes_back() {
    let seed = seed("ledger");
    let mut redis = Redis::start().await.unwrap();
    let mut world = World::new(&[], &[("LEDGER_URL", &redis.url()), ("LEASE_SECONDS", "5")]).await;
    world.upstreams.fault(&json!({"target": "execution", "delay_ms": SLOWLY})).await.unwrap();
    world.start().await;
    let mut load = world.load("ledger");
    (load.seed, load.pause) = (seed, Duration::from_millis(10));
    let running = load.start(0, FOR_EVER);
    let mut random = fastrand::Rng::with_seed(seed);
    for outage in 0..3 {
        tokio::time::sleep(Duration::from_millis(random.u64(300..1000))).await;
        if outage == 1 {
            // It does not answer, and comes back with what it was told meanwhile.
            redis.process().signal("STOP").unwrap();
            tokio::time::sleep(Duration::from_secs(7)).await;
            redis.process().signal("CONT").unwrap();
        } else {
            redis.process().kill().unwrap();
            tokio::time::sleep(Duration::from_millis(random.u64(500..3000))).await;
            redis.restart().await.unwrap();
        }
    }
    let sent = running.stop().await.downloads;
    adds_up(&world.settle(LIMIT).await);
    let account = world.account(&sent).await;
    account.exact("ledger (Redis) gone and back, 3 times");
    assert!(account.held <= 75, "{} held", account.held);
}

#[tokio::test]
async fn upstreams_that_are_down_and_come_back() {
    let mut world = World::new(&[], &[]).await;
    world.start().await;
    let running = world.load("refused").start(0, FOR_EVER);
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.upstreams.process().kill().unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let sent = running.stop().await;
    assert_eq!(sent.refusals, 0, "a dead upstream must not slow the sender");
    world.upstreams.restart().await.unwrap();
    adds_up(&world.settle(LIMIT).await);
    let account = world.account(&sent.downloads).await;
    account.exact("servers killed, connections refused for 3 s");
    assert!(account.held <= 25, "{} held", account.held);
}

/// A small file system, unmounted when dropped.
struct Disk {
    directory: Directory,
}

impl Disk {
    /// `None` where this account may not mount.
    fn new(megabytes: u32) -> Option<Self> {
        let directory = Directory::new().unwrap();
        let mut mount = tools::command(&tools::tool("mount")?);
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(directory.path());
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self { directory })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_entries_and_loses_none() {
    let Some(disk) = Disk::new(112) else {
        say(
            "\n!!! NOT RUN: a_full_disk_refuses_entries_and_loses_none: no file system can be mounted (needs root) !!!\n",
        );
        return;
    };
    let spool = disk.path().join("spool");
    let mut world = World::new(&[], &[("SPOOL", spool.to_str().unwrap()), ("BATCH_MAX_RECORDS", "1000")]).await;
    world.start().await;
    world.upstreams.process().kill().unwrap();
    // What is left of the disk beside the spool's reserve and some 2 MB.
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![1; 28 << 20]).unwrap();
    let mut load = world.load("full");
    load.batch = 50;
    let running = load.start(0, FOR_EVER);
    let start = Instant::now();
    while running.refused_503() < 20 {
        assert!(start.elapsed() < LIMIT, "the disk did not fill");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let waiting = world.metrics().await.unwrap()["spool_entries"];
    assert!(waiting > 0, "nothing was taken before the disk was full");
    // It starts on the full disk, too.
    assert!(world.process().terminate(Duration::from_secs(25)).await.unwrap().success());
    world.start().await;
    // What waits can leave while there is still no room for more.
    world.upstreams.restart().await.unwrap();
    while world.metrics().await.unwrap()["delivered_total"] < waiting / 2 {
        assert!(start.elapsed() < LIMIT, "a full disk holds up deliveries");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::remove_file(&filler).unwrap();
    let sent = running.stop().await;
    let metrics = world.settle(LIMIT).await;
    adds_up(&metrics);
    let account = world.account(&sent.downloads).await;
    account.exact(&format!("disk full ({} posts refused)", sent.refused_503));
    assert_eq!(account.held, 0);
}
