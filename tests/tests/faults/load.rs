//! Senders as MinIO is one: each body is sent again until it is taken.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use e2e::http_client;

use crate::entry::Download;
use crate::receiver::TOKEN;

/// MinIO waits 3 s; the tests have less time.
const RESEND: Duration = Duration::from_millis(100);
/// MinIO's `http_timeout`.
const TIMEOUT: Duration = Duration::from_secs(5);
/// By when a receiver that is well must have taken a body.
const LIMIT: Duration = Duration::from_mins(3);

/// How entries are sent.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) url: String,
    /// Part of each identity.
    pub(crate) run: String,
    pub(crate) senders: u64,
    /// The most entries in one body.
    pub(crate) batch: u64,
    /// How often each body that was taken is sent once more.
    pub(crate) repeats: u32,
    /// A pause after each body.
    pub(crate) pause: Duration,
    pub(crate) seed: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) downloads: Vec<Download>,
    /// Tries that were not answered 200.
    pub(crate) refusals: u64,
    pub(crate) refused_503: u64,
}

impl Load {
    pub(crate) fn new(url: &str, run: &str) -> Self {
        Self {
            url: url.to_owned(),
            run: run.to_owned(),
            senders: 4,
            batch: 8,
            repeats: 0,
            pause: Duration::ZERO,
            seed: 1,
        }
    }

    /// Sends entries with the numbers `from..to`.
    pub(crate) async fn send(&self, from: u64, to: u64) -> Sent {
        self.start(from, to).finish().await
    }

    /// Sends until told to stop.
    pub(crate) fn start(&self, from: u64, to: u64) -> Running {
        let next = Arc::new(AtomicU64::new(from));
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(Mutex::new(Sent::default()));
        let senders = (0..self.senders).map(|sender| {
            let random = fastrand::Rng::with_seed(self.seed.wrapping_add(sender));
            let (load, next, stop, sent) = (self.clone(), Arc::clone(&next), Arc::clone(&stop), Arc::clone(&sent));
            tokio::spawn(async move { load.sender(&next, to, &stop, &sent, random).await })
        });
        Running { senders: senders.collect(), stop, sent }
    }

    async fn sender(
        &self,
        next: &AtomicU64,
        to: u64,
        stop: &AtomicBool,
        sent: &Mutex<Sent>,
        mut random: fastrand::Rng,
    ) {
        let client = http_client::client(TIMEOUT).unwrap();
        while !stop.load(Ordering::SeqCst) {
            let count = random.u64(1..=self.batch);
            let from = next.fetch_add(count, Ordering::SeqCst);
            if from >= to {
                return;
            }
            let downloads: Vec<_> = (from..to.min(from + count)).map(|n| Download::new(&self.run, n)).collect();
            let body: String = downloads.iter().map(Download::minio).collect();
            // Whatever happens to a body from here on, its downloads count.
            sent.lock().unwrap().downloads.extend(downloads);
            for _ in 0..=self.repeats {
                self.post(&client, &body, sent).await;
            }
            tokio::time::sleep(self.pause).await;
        }
    }

    async fn post(&self, client: &reqwest::Client, body: &str, sent: &Mutex<Sent>) {
        let start = Instant::now();
        loop {
            let request = client.post(&self.url).header("Authorization", format!("Bearer {TOKEN}"));
            let answer = request.body(body.to_owned()).send().await.map(|answer| answer.status().as_u16());
            match answer {
                Ok(200) => return,
                Ok(status) => assert!(status >= 500, "answered {status}: MinIO would be blocked by it for ever"),
                Err(_) => {}
            }
            {
                let mut sent = sent.lock().unwrap();
                sent.refusals += 1;
                sent.refused_503 += u64::from(answer.is_ok_and(|status| status == 503));
            }
            assert!(start.elapsed() < LIMIT, "a body was not taken within {LIMIT:?}");
            tokio::time::sleep(RESEND).await;
        }
    }
}

/// Senders at work.
pub(crate) struct Running {
    senders: Vec<tokio::task::JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    sent: Arc<Mutex<Sent>>,
}

impl Running {
    /// Lets them end the bodies that they have begun.
    pub(crate) async fn stop(self) -> Sent {
        self.stop.store(true, Ordering::SeqCst);
        self.finish().await
    }

    /// Waits until all is sent.
    pub(crate) async fn finish(self) -> Sent {
        for sender in self.senders {
            sender.await.unwrap();
        }
        std::mem::take(&mut self.sent.lock().unwrap())
    }

    pub(crate) fn refused_503(&self) -> u64 {
        self.sent.lock().unwrap().refused_503
    }
}
