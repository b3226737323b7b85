//! The one thread that writes: what queues up while a commit runs goes into the next, and shares its flush.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::SpoolError;
use super::directory::Directory;
use super::reserve::Reserve;
use super::stats::{Change, Counters};
use super::upkeep::Upkeep;

/// Jobs in one transaction at most: bounds how long the first waits for the last.
const GROUP: usize = 1024;
/// The longest that a group waits for those that shared the one before.
const GATHER: Duration = Duration::from_millis(2);
/// How long nothing must come before the time is used for upkeep.
const IDLE: Duration = Duration::from_millis(250);

/// What must be on disk when a job is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Nothing: it may be undone by a failing machine.
    No,
    /// The write; it serves delivery, and may use the reserve when the disk is full.
    Yes,
    /// The write; it brings new entries, and is refused when the disk is full.
    Appends,
}

/// Something to write, and somebody who waits for it.
trait Job: Send {
    fn flush(&self) -> Flush;
    /// Writes, inside a transaction. May be run again after a rollback.
    fn run(&mut self, db: &Connection, change: &mut Change) -> rusqlite::Result<()>;
    fn done(self: Box<Self>, result: Result<(), SpoolError>);
}

struct Waiting<T, W> {
    flush: Flush,
    work: W,
    outcome: Option<T>,
    reply: oneshot::Sender<Result<T, SpoolError>>,
}

impl<T: Send, W: FnMut(&Connection, &mut Change) -> rusqlite::Result<T> + Send> Job for Waiting<T, W> {
    fn flush(&self) -> Flush {
        self.flush
    }

    fn run(&mut self, db: &Connection, change: &mut Change) -> rusqlite::Result<()> {
        self.outcome = Some((self.work)(db, change)?);
        Ok(())
    }

    fn done(self: Box<Self>, result: Result<(), SpoolError>) {
        let Self { outcome, reply, .. } = *self;
        // Whoever no longer waits needs no answer.
        _ = reply.send(result.and_then(|()| outcome.ok_or(SpoolError::Closed)));
    }
}

/// The way to the writing thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<Sender<Box<dyn Job>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Writer {
    /// Waits for the thread, so that the directory is free for the next when this returns.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

impl Writer {
    pub(super) fn start(
        db: Connection,
        directory: Directory,
        reserve: Option<Reserve>,
        counters: Arc<Counters>,
    ) -> Result<Self, SpoolError> {
        let (jobs, queue) = channel();
        let reserved = reserve.as_ref().map_or(u64::MAX, Reserve::bytes);
        let upkeep = Upkeep::new(directory.database(), reserved);
        let mut own = Loop { db, reserve, counters, upkeep, flushing: true };
        let run = move || {
            own.run(&queue);
            // Closed before the lock is given up.
            drop(own);
            drop(directory);
        };
        let thread = std::thread::Builder::new().name("spool".to_owned()).spawn(run);
        let thread = thread.map_err(|error| SpoolError::Failed(error.to_string()))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        flush: Flush,
        work: impl FnMut(&Connection, &mut Change) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Waiting { flush, work, outcome: None, reply });
        self.jobs.as_ref().ok_or(SpoolError::Closed)?.send(job).map_err(|_| SpoolError::Closed)?;
        answer.await.map_err(|_| SpoolError::Closed)?
    }
}

struct Loop {
    db: Connection,
    reserve: Option<Reserve>,
    counters: Arc<Counters>,
    upkeep: Upkeep,
    /// Whether commits flush, as the database is set now.
    flushing: bool,
}

impl Loop {
    fn run(&mut self, queue: &Receiver<Box<dyn Job>>) {
        let mut before = Group { jobs: 1, took: Duration::ZERO };
        loop {
            match queue.recv_timeout(IDLE) {
                Ok(first) => {
                    let jobs = gather(queue, first, before);
                    let began = Instant::now();
                    before.jobs = jobs.len();
                    self.commit_all(jobs);
                    before.took = began.elapsed();
                    self.upkeep.after_commit(&self.db);
                }
                Err(RecvTimeoutError::Timeout) => self.upkeep.idle(&self.db),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.upkeep.checkpoint(&self.db);
    }

    /// Commits jobs together; where that fails, each alone, so that none fails for another.
    fn commit_all(&mut self, jobs: Vec<Box<dyn Job>>) {
        let mut jobs = self.refuse_appends_without_room(jobs);
        if jobs.is_empty() {
            return;
        }
        let together = self.transaction(&mut jobs);
        match together {
            Ok(()) => jobs.into_iter().for_each(|job| job.done(Ok(()))),
            Err(_) => jobs.into_iter().for_each(|job| self.commit_alone(job)),
        }
    }

    fn commit_alone(&mut self, job: Box<dyn Job>) {
        let mut jobs = [job];
        let mut result = self.transaction(&mut jobs);
        let [job] = jobs;
        if result == Err(SpoolError::Full) && job.flush() != Flush::Appends && self.give_reserve() {
            let mut jobs = [job];
            result = self.transaction(&mut jobs);
            let [job] = jobs;
            return job.done(result);
        }
        job.done(result);
    }

    /// Makes room out of the reserve, and out of the journal.
    fn give_reserve(&mut self) -> bool {
        let given = self.reserve.as_mut().is_some_and(Reserve::give);
        self.upkeep.checkpoint(&self.db);
        given
    }

    /// New entries must not use up what deliveries need.
    fn refuse_appends_without_room(&mut self, jobs: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        let appends = jobs.iter().any(|job| job.flush() == Flush::Appends);
        let mut room = || self.reserve.as_mut().is_none_or(Reserve::take) && !self.upkeep.is_stuck(&self.db);
        if !appends || room() {
            return jobs;
        }
        let (refused, kept): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.flush() == Flush::Appends);
        for job in refused {
            job.done(Err(SpoolError::Full));
        }
        kept
    }

    fn transaction(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), SpoolError> {
        let flush = jobs.iter().any(|job| job.flush() != Flush::No);
        let result = self.try_transaction(jobs, flush);
        if result.is_err() && !self.db.is_autocommit() {
            // Some failures roll back by themselves. Should this one fail, the next BEGIN does too, and says why.
            _ = self.db.execute_batch("ROLLBACK");
        }
        Ok(result?)
    }

    fn try_transaction(&mut self, jobs: &mut [Box<dyn Job>], flush: bool) -> rusqlite::Result<()> {
        if flush != self.flushing {
            self.db.execute_batch(if flush { "PRAGMA synchronous=FULL" } else { "PRAGMA synchronous=NORMAL" })?;
            self.flushing = flush;
        }
        let mut change = Change::default();
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for job in jobs {
            job.run(&self.db, &mut change)?;
        }
        self.db.prepare_cached("COMMIT")?.execute([])?;
        // Committed: a failure from here on is no reason to take anything back.
        _ = self.counters.committed(&self.db, &change, flush);
        Ok(())
    }
}

/// How the last group went.
#[derive(Clone, Copy)]
struct Group {
    jobs: usize,
    took: Duration,
}

/// Takes what waits. Those that shared the last commit come back at about the same time, so a group waits a moment for as
/// many, rather than leave with the first and make the rest wait for a whole flush. Somebody alone never waits.
fn gather(queue: &Receiver<Box<dyn Job>>, first: Box<dyn Job>, before: Group) -> Vec<Box<dyn Job>> {
    let until = Instant::now() + (before.took / 4).min(GATHER);
    let mut jobs = vec![first];
    while jobs.len() < GROUP {
        let wait =
            if jobs.len() < before.jobs { until.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
        let Ok(job) = queue.recv_timeout(wait) else { break };
        jobs.push(job);
    }
    jobs
}
