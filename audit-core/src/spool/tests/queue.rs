use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::{item, numbers, open};
use crate::clock::Clock;
use crate::event::Backend;
use crate::ledger::{BatchId, Claim, Ledger, Owner, SpoolLedger, Terms};
use crate::record::{Download, Key};
use crate::spool::{Item, Options, Sink, Spool, SpoolError, Stats};

#[tokio::test]
async fn entries_keep_their_order_in_separate_queues() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let analytics = Item { sink: Sink::Analytics, key: None, body: vec![0] };
    spool.append(vec![item(1), analytics, item(2)]).await.unwrap();
    spool.append((3..100).map(item).collect()).await.unwrap();
    assert_eq!(numbers(&spool).await, (1..100).collect::<Vec<_>>());
    let firsts = spool.read(Sink::Metering, 0, 2).await.unwrap();
    spool.remove(Sink::Metering, &[firsts[0].0, firsts[1].0, 12345]).await.unwrap();
    assert_eq!(numbers(&spool).await, (3..100).collect::<Vec<_>>());
    assert_eq!(spool.read(Sink::Analytics, 0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_restart_keeps_entries_owner_and_the_sequence() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let owner = spool.owner();
    spool.append(vec![item(1), item(2)]).await.unwrap();
    drop(spool);
    let spool = open(dir.path());
    assert_eq!(spool.owner(), owner);
    let seqs: Vec<i64> = spool.read(Sink::Metering, 0, 9).await.unwrap().iter().map(|(seq, _)| *seq).collect();
    spool.remove(Sink::Metering, &seqs).await.unwrap();
    drop(spool);
    let spool = open(dir.path());
    spool.append(vec![item(3)]).await.unwrap();
    assert!(spool.read(Sink::Metering, 0, 9).await.unwrap()[0].0 > seqs[1], "numbers are never used again");
}

#[tokio::test]
async fn one_process_has_it_and_others_can_look_at_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let refused = Spool::open(dir.path(), Clock::system()).unwrap_err();
    assert!(matches!(refused, SpoolError::InUse(_)));
    assert!(refused.to_string().contains("in use by another process"), "{refused}");

    let terms = Terms { lease: Duration::from_mins(15), ttl: Duration::from_mins(150) };
    let ledger = |spool| Ledger::Spool(SpoolLedger::new(spool, terms, Clock::system()));
    let (own, beside) = (ledger(spool.clone()), ledger(Spool::attach(dir.path(), Clock::system()).unwrap()));
    assert_ne!(Spool::attach(dir.path(), Clock::system()).unwrap().owner(), spool.owner());
    let (key, batch) = ([Key([1; 16])], BatchId(Uuid::from_u128(1)));
    own.claim(&key, spool.owner()).await.unwrap();
    own.sent(&key, spool.owner(), batch).await.unwrap();
    own.hold(&key, batch).await.unwrap();
    beside.settle(&key, batch, false).await.unwrap();
    assert_eq!(own.claim(&key, spool.owner()).await.unwrap(), [Claim::Claimed]);
    assert!(Spool::attach(&dir.path().join("nowhere"), Clock::system()).is_err());
}

#[tokio::test]
async fn files_are_the_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/spool");
    let spool = open(&path);
    spool.append(vec![item(1)]).await.unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let files: Vec<_> = std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn stats_follow_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(1000));
    let clock = Clock::from_fn({
        let now = Arc::clone(&now);
        move || Timestamp::from_second(now.load(Ordering::Relaxed)).unwrap()
    });
    let open = || Spool::open_with(dir.path(), clock.clone(), Options { reserve_bytes: 4096 }).unwrap();
    let stats = |entries, bytes, oldest: Option<u64>| Stats { entries, bytes, oldest: oldest.map(Duration::from_secs) };
    let spool = open();
    assert_eq!(spool.stats(Sink::Metering), stats(0, 0, None));
    spool.append(vec![item(1)]).await.unwrap();
    now.store(1010, Ordering::Relaxed);
    spool.append(vec![item(2), item(3)]).await.unwrap();
    now.store(1015, Ordering::Relaxed);
    assert_eq!(spool.stats(Sink::Metering), stats(3, 24, Some(15)));
    assert_eq!(spool.stats(Sink::Analytics), stats(0, 0, None));
    drop(spool);
    let spool = open();
    assert_eq!(spool.stats(Sink::Metering), stats(3, 24, Some(15)));
    let seqs: Vec<i64> = spool.read(Sink::Metering, 0, 9).await.unwrap().iter().map(|(seq, _)| *seq).collect();
    spool.remove(Sink::Metering, &seqs[..1]).await.unwrap();
    assert_eq!(spool.stats(Sink::Metering), stats(2, 16, Some(5)));
    spool.remove(Sink::Metering, &seqs).await.unwrap();
    assert_eq!(spool.stats(Sink::Metering), stats(0, 0, None));
}

#[tokio::test]
async fn many_requests_share_a_flush() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let mut requests = tokio::task::JoinSet::new();
    for number in 0..64 {
        let spool = spool.clone();
        requests.spawn(async move {
            for round in 0..10 {
                spool.append(vec![item(number * 10 + round)]).await.unwrap();
            }
        });
    }
    requests.join_all().await;
    let (commits, flushes) = spool.commits();
    assert!((10..=64).contains(&flushes) && commits == flushes, "{commits} commits, {flushes} flushes for 640 appends");
    assert_eq!(numbers(&spool).await.len(), 640);
}

#[tokio::test]
async fn only_what_must_be_is_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let terms = Terms { lease: Duration::from_mins(15), ttl: Duration::from_mins(150) };
    let ledger = Ledger::Spool(SpoolLedger::new(spool.clone(), terms, Clock::system()));
    let (keys, batch) = ([Key([1; 16])], BatchId(Uuid::from_u128(1)));
    ledger.claim(&keys, spool.owner()).await.unwrap();
    spool.remove(Sink::Metering, &[1]).await.unwrap();
    assert_eq!(spool.commits(), (2, 0));
    ledger.sent(&keys, spool.owner(), batch).await.unwrap();
    ledger.confirm(&keys, batch).await.unwrap();
    assert_eq!(spool.commits(), (4, 2));
}

#[tokio::test]
async fn what_the_ledger_no_longer_needs_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let now = Arc::new(AtomicI64::new(1000));
    let clock = Clock::from_fn({
        let now = Arc::clone(&now);
        move || Timestamp::from_second(now.load(Ordering::Relaxed)).unwrap()
    });
    let terms = Terms { lease: Duration::from_secs(1), ttl: Duration::from_secs(9) };
    let ledger = Ledger::Spool(SpoolLedger::new(spool.clone(), terms, clock));
    for _ in 0..100 {
        let keys: Vec<Key> = (0..100).map(|_| Key(*Uuid::new_v4().as_bytes())).collect();
        ledger.claim(&keys, Owner(Uuid::nil())).await.unwrap();
        now.fetch_add(1, Ordering::Relaxed);
    }
    let count = |db: &rusqlite::Connection| db.query_row("SELECT count(*) FROM ledger", [], |row| row.get::<_, i64>(0));
    let left = spool.write(crate::spool::Flush::No, count).await.unwrap();
    assert!((100..500).contains(&left), "{left} rows of 10,000");
}

#[tokio::test]
async fn downloads_go_in_and_out() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let download = Download {
        identity: "id".to_owned(),
        record: "00000000-0000-0000-0000-000000000001|00000000-0000-0000-0000-000000000002|item|2025-10-27T10:12:30Z|5|minio"
            .parse()
            .unwrap(),
        origin: "request:1".into(),
        number: 7,
    };
    assert_eq!(download.record.backend, Backend::Minio);
    let odd = Item { sink: Sink::Metering, key: None, body: b"odd".to_vec() };
    spool.append(vec![Item::metering(&download).unwrap(), odd]).await.unwrap();
    let read = spool.downloads(0, 10).await.unwrap();
    assert_eq!(read, [(1, Ok(download)), (2, Err(b"odd".to_vec()))]);
}
