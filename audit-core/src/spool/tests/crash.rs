//! A process killed at any point, and files that broke.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{item, numbers, open};
use crate::clock::Clock;
use crate::spool::{Sink, Spool, SpoolError};

/// The process that gets killed: appends to the spool named on stdin, side by side, and tells what was acknowledged.
#[tokio::test]
#[ignore = "started by another test"]
async fn child() {
    let mut dir = String::new();
    std::io::stdin().read_line(&mut dir).unwrap();
    let spool = open(Path::new(dir.trim()));
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..8_u64 {
        let spool = spool.clone();
        senders.spawn(async move {
            for round in 0_u64.. {
                let number = (sender << 32 | round) << 1;
                spool.append(vec![item(number), item(number + 1)]).await.unwrap();
                writeln!(std::io::stdout(), "\nacknowledged {number}").unwrap();
            }
        });
    }
    senders.join_all().await;
}

/// Runs the child for a while, and answers what it was told is safe.
fn run_and_kill(dir: &Path, after: Duration) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "spool::tests::crash::child", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", dir.display()).unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let number = |line: String| line.strip_prefix("acknowledged ").and_then(|number| number.parse().ok());
        out.lines().map_while(Result::ok).filter_map(number).collect()
    });
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut safe = 0;
    for round in 0..6 {
        let acknowledged = run_and_kill(dir.path(), Duration::from_millis(400 + round * 137));
        let spool = open(dir.path());
        let kept: HashSet<u64> = numbers(&spool).await.into_iter().collect();
        for number in &acknowledged {
            assert!(kept.contains(number) && kept.contains(&(number + 1)), "{number} is lost");
        }
        assert!(kept.iter().all(|number| kept.contains(&(number ^ 1))), "half a request is kept");
        safe += acknowledged.len();
        remove_all(&spool).await;
    }
    assert!(safe > 0, "no child got as far as an answer");
}

async fn remove_all(spool: &Spool) {
    while let Some(entries) = Some(spool.read(Sink::Metering, 0, 1000).await.unwrap()).filter(|read| !read.is_empty()) {
        let seqs: Vec<i64> = entries.iter().map(|(seq, _)| *seq).collect();
        spool.remove(Sink::Metering, &seqs).await.unwrap();
    }
}

/// A copy of a spool in use, as a failing machine would leave it.
async fn crashed_copy(dir: &Path) -> (tempfile::TempDir, u64) {
    let spool = open(dir);
    for number in 0..50 {
        spool.append(vec![item(number)]).await.unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    for file in ["spool.db", "spool.db-wal"] {
        std::fs::copy(dir.join(file), copy.path().join(file)).unwrap();
    }
    let journal = std::fs::metadata(copy.path().join("spool.db-wal")).unwrap().len();
    (copy, journal)
}

#[tokio::test]
async fn a_torn_last_write_costs_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, journal) = crashed_copy(dir.path()).await;
    let file = std::fs::OpenOptions::new().write(true).open(copy.path().join("spool.db-wal")).unwrap();
    file.set_len(journal - 1000).unwrap();
    let kept = numbers(&open(copy.path())).await;
    assert_eq!(kept, (0..kept.len() as u64).collect::<Vec<_>>());
    assert_eq!(kept.len(), 49);
}

#[tokio::test]
async fn garbage_in_the_last_write_costs_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, journal) = crashed_copy(dir.path()).await;
    let file = std::fs::OpenOptions::new().write(true).open(copy.path().join("spool.db-wal")).unwrap();
    file.write_all_at(&[0xa5; 3000], journal - 3000).unwrap();
    let spool = open(copy.path());
    assert_eq!(numbers(&spool).await, (0..49).collect::<Vec<_>>());
    spool.append(vec![item(50)]).await.unwrap();
}

#[tokio::test]
async fn a_damaged_database_is_told_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    spool.append((0..2000).map(item).collect()).await.unwrap();
    drop(spool);
    let path = dir.path().join("spool.db");
    let sound = std::fs::read(&path).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    for damage in [0, 4096 * 3, sound.len() as u64 - 4096] {
        std::fs::write(&path, &sound).unwrap();
        file.write_all_at(&[0xa5; 4096], damage).unwrap();
        let error = Spool::open(dir.path(), Clock::system()).unwrap_err();
        assert!(matches!(error, SpoolError::Damaged { .. }), "{damage}: {error}");
        assert!(error.to_string().contains("spool.db"), "{error}");
    }
    std::fs::write(&path, &sound).unwrap();
    assert_eq!(numbers(&open(dir.path())).await.len(), 2000);
}

#[test]
fn other_databases_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let set = |sql| rusqlite::Connection::open(dir.path().join("spool.db")).unwrap().execute_batch(sql).unwrap();
    set("CREATE TABLE photos (id)");
    assert!(matches!(Spool::open(dir.path(), Clock::system()), Err(SpoolError::Damaged { .. })));
    set("DROP TABLE photos");
    drop(open(dir.path()));
    set("PRAGMA user_version=99");
    assert!(matches!(Spool::open(dir.path(), Clock::system()), Err(SpoolError::Newer { found: 99, .. })));
}
