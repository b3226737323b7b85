//! Throughput of the spool beside the disk's own: run by hand, with `--ignored --nocapture`.

use std::io::Write;
use std::time::{Duration, Instant};

use super::{Item, Sink, Spool};
use crate::clock::Clock;

const SENDERS: u32 = 64;
const TIME: Duration = Duration::from_secs(5);

fn median_fsync(dir: &std::path::Path) -> Duration {
    let mut file = std::fs::File::create(dir.join("fsync")).unwrap();
    let mut times: Vec<Duration> = (0..200)
        .map(|_| {
            file.write_all(&[1; 4096]).unwrap();
            let began = Instant::now();
            file.sync_all().unwrap();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

async fn append_all_the_time(spool: &Spool, body_bytes: usize) -> (f64, Duration) {
    let until = Instant::now() + TIME;
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..SENDERS {
        let spool = spool.clone();
        senders.spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < until {
                let began = Instant::now();
                spool
                    .append(vec![Item { sink: Sink::Metering, key: None, body: vec![b'x'; body_bytes] }])
                    .await
                    .unwrap();
                times.push(began.elapsed());
            }
            times
        });
    }
    let mut times: Vec<Duration> = senders.join_all().await.into_iter().flatten().collect();
    times.sort_unstable();
    let rate = f64::from(u32::try_from(times.len()).unwrap()) / TIME.as_secs_f64();
    (rate, times[times.len() * 99 / 100])
}

#[tokio::test]
#[ignore = "measures for ten seconds"]
async fn throughput() {
    let dir = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    for body_bytes in [500, 1900] {
        let fsync = median_fsync(dir.path());
        let spool = Spool::open(&dir.path().join(body_bytes.to_string()), Clock::system()).unwrap();
        let before = spool.commits().1;
        let (rate, p99) = append_all_the_time(&spool, body_bytes).await;
        let flushes = f64::from(u32::try_from(spool.commits().1 - before).unwrap()) / TIME.as_secs_f64();
        let bound = f64::from(SENDERS) / fsync.as_secs_f64();
        println!(
            "{body_bytes} bytes: fsync {fsync:?}, {rate:.0} appends/s ({:.2} of 64/fsync), {flushes:.0} flushes/s, p99 {p99:?}",
            rate / bound
        );
    }
}
