//! A progress bar, where somebody is watching and it takes long enough to watch.

use std::io::{IsTerminal, Read, stderr};
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

/// Less than this is read before a bar could be drawn.
const LONG_BYTES: u64 = 64 << 20;

/// How much of the input was read.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Over all `files`; hidden where standard error is no terminal or the input is short. Standard input counts as long.
    pub(crate) fn over(files: &[PathBuf]) -> Self {
        let sizes = files.iter().map(|file| std::fs::metadata(file).map(|data| data.len()));
        let total = sizes.map(|size| size.unwrap_or(LONG_BYTES)).fold(0, u64::saturating_add);
        if !stderr().is_terminal() || total < LONG_BYTES {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(total);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Counts what is read from `input`.
    pub(crate) fn watch(&self, input: impl Read) -> impl Read {
        self.0.wrap_read(input)
    }

    /// Takes the bar away while `print` writes to the same terminal.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }

    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
