//! A disk without room, and room that comes back.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use uuid::Uuid;

use super::{item, open};
use crate::clock::Clock;
use crate::ledger::{BatchId, Claim, Ledger, SpoolLedger, Terms};
use crate::record::Key;
use crate::spool::{Item, Options, Sink, Spool, SpoolError};

fn large(number: u8) -> Item {
    Item { sink: Sink::Metering, key: None, body: vec![number; 20_000] }
}

/// A disk of 8 MiB, where the test may mount one.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(dir.path()).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(dir))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

async fn fill(spool: &Spool) -> u64 {
    for count in 0..10_000 {
        match spool.append(vec![large(1); 5]).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error, SpoolError::Full);
                return count * 5;
            }
        }
    }
    panic!("the disk never filled");
}

#[tokio::test]
async fn a_full_disk_refuses_entries_and_lets_deliveries_out() {
    let Some(disk) = Disk::mount() else {
        println!("NOT RUN: a small disk cannot be mounted here");
        return;
    };
    let spool = Spool::open_with(disk.0.path(), Clock::system(), Options { reserve_bytes: 2 << 20 }).unwrap();
    let kept = fill(&spool).await;
    assert!(kept > 50, "{kept}");
    assert_eq!(spool.stats(Sink::Metering).entries, kept, "nothing half written");
    let ballast = disk.0.path().join("ballast");
    let mut rest = std::fs::File::create(&ballast).unwrap();
    while rest.write_all(&[0; 512]).is_ok() {}
    assert_eq!(fill(&spool).await, 0);

    deliver_everything(&spool).await;
    assert_eq!(spool.stats(Sink::Metering).entries, 0);
    let reserve = std::fs::metadata(disk.0.path().join("reserve")).unwrap().len();
    std::fs::remove_file(&ballast).unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    spool.append(vec![large(2); 20]).await.unwrap();
    spool.ping().await.unwrap();
    assert_eq!(reserve, 0, "the disk was so full that deliveries needed the reserve");
    drop(spool);
    let spool = Spool::open(disk.0.path(), Clock::system()).unwrap();
    assert_eq!(spool.read(Sink::Metering, 0, 100).await.unwrap().len(), 20);
}

/// As the delivery engine does, with the ledger in the same full spool.
async fn deliver_everything(spool: &Spool) {
    let terms = Terms { lease: Duration::from_mins(15), ttl: Duration::from_mins(150) };
    let ledger = Ledger::Spool(SpoolLedger::new(spool.clone(), terms, Clock::system()));
    loop {
        let entries = spool.read(Sink::Metering, 0, 20).await.unwrap();
        if entries.is_empty() {
            return;
        }
        let keys: Vec<Key> = entries.iter().map(|_| Key(*Uuid::new_v4().as_bytes())).collect();
        let batch = BatchId(Uuid::new_v4());
        let claims = ledger.claim(&keys, spool.owner()).await.unwrap();
        assert!(claims.iter().all(|claim| *claim == Claim::Claimed));
        assert!(ledger.sent(&keys, spool.owner(), batch).await.unwrap().iter().all(|sent| *sent));
        ledger.confirm(&keys, batch).await.unwrap();
        let seqs: Vec<i64> = entries.iter().map(|(seq, _)| *seq).collect();
        spool.remove(Sink::Metering, &seqs).await.unwrap();
    }
}

#[tokio::test]
async fn files_shrink_once_entries_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    for _ in 0..50 {
        spool.append(vec![large(3); 50]).await.unwrap();
    }
    let size =
        || -> u64 { std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum() };
    let before = size();
    assert!(before > 40 << 20, "{before}");
    deliver_everything(&spool).await;
    for _ in 0..600 {
        if size() < 32 << 20 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(size() < 32 << 20, "{} bytes on disk for nothing", size());
    spool.append(vec![item(1)]).await.unwrap();
}
