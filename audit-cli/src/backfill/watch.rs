//! How far a run has come: a bar where somebody watches, else a line now and then.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

use super::survey::Counted;

const BETWEEN_LINES: Duration = Duration::from_secs(10);
const BAR: &str = "{bar:30} {pos}/{len} files  {msg}  {per_sec}  {eta} left";

/// What is told while it runs.
pub(super) struct Watch {
    bar: Option<ProgressBar>,
    total: Arc<Counted>,
    started: Instant,
    told: Instant,
    files: u64,
    bytes: u64,
}

impl Watch {
    pub(super) fn new(total: Arc<Counted>) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        let now = Instant::now();
        Self { bar, total, started: now, told: now, files: 0, bytes: 0 }
    }

    /// Counts a file that is dealt with.
    pub(super) fn done(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
        let known = self.total.files.load(Ordering::Relaxed).max(self.files);
        if let Some(bar) = &self.bar {
            bar.set_length(known);
            bar.set_position(self.files);
            bar.set_message(HumanBytes(self.bytes).to_string());
        } else if self.told.elapsed() >= BETWEEN_LINES {
            self.told = Instant::now();
            // Nobody listens where it is closed.
            let _ = writeln!(stderr(), "s3audit: {}", self.line(known));
        }
    }

    /// Takes the bar away while `print` writes to the same terminal.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Files dealt with, and the time that took.
    pub(super) fn so_far(&self) -> (u64, Duration) {
        (self.files, self.started.elapsed())
    }

    #[allow(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
    fn line(&self, known: u64) -> String {
        let per_second = self.files as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let of = if self.total.whole.load(Ordering::Relaxed) { known.to_string() } else { format!("{known} or more") };
        let left = Duration::from_secs_f64(((known - self.files) as f64 / per_second.max(0.001)).min(1e9));
        format!(
            "{} of {of} files, {}, {per_second:.1} files/s, {} left",
            self.files,
            HumanBytes(self.bytes),
            HumanDuration(left)
        )
    }
}
