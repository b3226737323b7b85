//! An in-memory server, and in-memory keeping places, that do what a test tells them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::clock::Clock;
use crate::delivery::keep::{HeldBatch, Keep, KeepError};
use crate::delivery::{Delivery, Posted, Settings, Upstream};
use crate::ledger::{BatchId, Ledger, MemoryLedger, Terms};
use crate::quarantine::QuarantineEntry;
use crate::record::{Download, MeteringRecord};
use crate::sink::ogc::answer::Answer;
use crate::sink::ogc::execution;
use crate::sink::ogc::token::TokenError;

pub(super) const LEASE: Duration = Duration::from_mins(15);

/// What the server does with one request.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// What it should: inserts all, or refuses where one is bad.
    Work,
    /// Inserts nothing, and says this.
    Say(Answer, Option<u16>),
    /// Inserts, or not, after a while, whatever the client does meanwhile; the client never hears of it.
    Silent { insert_after: Option<Duration> },
    /// Inserts, and answers this.
    InsertAndSay(Answer, Option<u16>),
}

/// Whether it is written, and whether that is told.
type Keeping = Box<dyn FnMut() -> (bool, bool) + Send>;
type Pace = Box<dyn FnMut() -> Duration + Send>;
type Script = Box<dyn FnMut(&[String]) -> Act + Send>;

pub(super) struct World {
    pub(super) rows: Mutex<HashMap<String, u32>>,
    pub(super) bad: HashSet<String>,
    pub(super) script: Mutex<Script>,
    /// Sizes of the requests.
    pub(super) posts: Mutex<Vec<usize>>,
    pub(super) tokens: Mutex<u32>,
    pub(super) token_error: Mutex<Option<TokenError>>,
    /// What to mend before jobs can be followed.
    pub(super) cannot_follow: Mutex<Option<String>>,
    pub(super) held: Mutex<Vec<HeldBatch>>,
    pub(super) quarantined: Mutex<Vec<QuarantineEntry>>,
    /// Asked before each write.
    pub(super) keeping: Mutex<Keeping>,
    /// How long a token, and an answer, take.
    pub(super) pace: Mutex<Pace>,
    /// What the clock is ahead of tokio's, in seconds.
    pub(super) ahead: Mutex<i64>,
    started: Instant,
}

#[derive(Clone)]
pub(super) struct Hands(pub(super) Arc<World>);

impl World {
    pub(super) fn new(bad: &[&Download], script: impl FnMut(&[String]) -> Act + Send + 'static) -> Arc<Self> {
        Arc::new(Self {
            rows: Mutex::default(),
            bad: bad.iter().map(|own| own.record.to_string()).collect(),
            script: Mutex::new(Box::new(script)),
            posts: Mutex::default(),
            tokens: Mutex::default(),
            token_error: Mutex::default(),
            cannot_follow: Mutex::default(),
            held: Mutex::default(),
            quarantined: Mutex::default(),
            keeping: Mutex::new(Box::new(|| (true, true))),
            pace: Mutex::new(Box::new(|| Duration::from_millis(20))),
            ahead: Mutex::new(0),
            started: Instant::now(),
        })
    }

    pub(super) fn clock(self: &Arc<Self>) -> Clock {
        let world = Arc::clone(self);
        Clock::from_fn(move || {
            let elapsed = SignedDuration::try_from(world.started.elapsed()).unwrap();
            Timestamp::UNIX_EPOCH + elapsed + SignedDuration::from_secs(*world.ahead.lock().unwrap())
        })
    }

    pub(super) fn ledger(self: &Arc<Self>) -> Arc<Ledger> {
        let terms = Terms { lease: LEASE, ttl: Duration::from_hours(90 * 24) };
        Arc::new(Ledger::Memory(MemoryLedger::new(terms, self.clock())))
    }

    pub(super) fn delivery(self: &Arc<Self>, ledger: &Arc<Ledger>, settings: Settings) -> Delivery<Hands, Hands> {
        let hands = Hands(Arc::clone(self));
        Delivery::new(hands.clone(), Arc::clone(ledger), hands, settings, self.clock())
    }

    pub(super) fn rows_of(&self, download: &Download) -> u32 {
        self.rows.lock().unwrap().get(&download.record.to_string()).copied().unwrap_or_default()
    }

    pub(super) fn holds(&self, download: &Download) -> bool {
        self.held.lock().unwrap().iter().any(|batch| batch.downloads.contains(download))
    }

    pub(super) fn quarantines(&self, download: &Download) -> bool {
        self.quarantined.lock().unwrap().iter().any(|entry| entry.id.as_ref() == Some(&download.identity))
    }

    fn insert(&self, lines: &[String]) -> bool {
        if lines.iter().any(|line| self.bad.contains(line)) {
            return false;
        }
        let mut rows = self.rows.lock().unwrap();
        for line in lines {
            *rows.entry(line.clone()).or_default() += 1;
        }
        true
    }

    async fn paces(&self) {
        let pace = (self.pace.lock().unwrap())();
        sleep(pace).await;
    }

    async fn kept(&self, write: impl FnOnce()) -> Result<(), KeepError> {
        yield_now().await;
        let (written, told) = (self.keeping.lock().unwrap())();
        if written {
            write();
        }
        yield_now().await;
        if told { Ok(()) } else { Err(KeepError("disk full".to_owned())) }
    }
}

pub(super) fn download(number: u64) -> Download {
    Download {
        identity: format!("event-{number}"),
        record: format!("{0}|{0}|item-{number}|2025-10-27T10:12:30Z|1|aws_s3", uuid::Uuid::nil()).parse().unwrap(),
        origin: "s3://logs/a.json.gz".into(),
        number,
    }
}

pub(super) fn downloads(count: u64) -> Vec<Download> {
    (1..=count).map(download).collect()
}

pub(super) fn unknown() -> Answer {
    Answer::Unknown("no answer".to_owned())
}

pub(super) fn transient() -> Answer {
    Answer::Transient { retry_after: None, message: "out of order".to_owned() }
}

impl Upstream for Hands {
    type Pass = u32;

    async fn pass(&self) -> Result<u32, TokenError> {
        self.0.paces().await;
        match &*self.0.token_error.lock().unwrap() {
            Some(error) => Err(error.clone()),
            None => Ok(*self.0.tokens.lock().unwrap()),
        }
    }

    async fn refuse(&self, pass: &u32) {
        yield_now().await;
        let mut token = self.0.tokens.lock().unwrap();
        if *token == *pass {
            *token += 1;
        }
    }

    async fn post(&self, _: &u32, _: BatchId, records: &[&MeteringRecord], until: Instant) -> Posted {
        let world = &self.0;
        let lines: Vec<String> = records.iter().map(ToString::to_string).collect();
        world.posts.lock().unwrap().push(lines.len());
        yield_now().await;
        let act = (world.script.lock().unwrap())(&lines);
        let (answer, status) = match act {
            Act::Work if world.insert(&lines) => (Answer::Done, Some(200)),
            Act::Work => (Answer::Refused("Invalid UUID format in one of the log entries.".to_owned()), Some(400)),
            Act::Say(answer, status) => (answer, status),
            Act::InsertAndSay(answer, status) => {
                world.insert(&lines);
                (answer, status)
            }
            Act::Silent { insert_after } => {
                if let Some(after) = insert_after {
                    let world = Arc::clone(world);
                    tokio::spawn(async move {
                        sleep(after).await;
                        world.insert(&lines);
                    });
                }
                sleep_until(until.min(Instant::now() + Duration::from_secs(30))).await;
                (unknown(), None)
            }
        };
        yield_now().await;
        let pause = timeout_at(until, world.paces()).await;
        // An answer that would come after `until` is one that nobody hears.
        if pause.is_err() { Posted { answer: unknown(), status: None } } else { Posted { answer, status } }
    }

    async fn can_follow(&self) -> Result<(), String> {
        self.0.paces().await;
        self.0.cannot_follow.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn weight_bytes(record: &MeteringRecord) -> usize {
        execution::weight_bytes(record)
    }
}

impl Keep for Hands {
    async fn quarantine(&self, entries: Vec<QuarantineEntry>) -> Result<(), KeepError> {
        self.0.kept(|| self.0.quarantined.lock().unwrap().extend(entries)).await
    }

    async fn hold(&self, batch: HeldBatch) -> Result<(), KeepError> {
        self.0.kept(|| self.0.held.lock().unwrap().push(batch)).await
    }
}
