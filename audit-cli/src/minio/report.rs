//! What the set-up tells while it works.

use std::io::{self, Write};

/// Lines on standard output, and what they add up to.
#[derive(Debug, Default)]
pub(super) struct Report {
    changes: usize,
    troubles: usize,
}

#[allow(clippy::unused_self, reason = "all that is told goes through the report, counted or not")]
impl Report {
    /// It was so already.
    pub(super) fn fine(&mut self, text: &str) -> io::Result<()> {
        tell("ok", text)
    }

    /// It was not so, and is now.
    pub(super) fn changed(&mut self, text: &str) -> io::Result<()> {
        self.changes += 1;
        tell("++", text)
    }

    /// Worth knowing.
    pub(super) fn note(&mut self, text: &str) -> io::Result<()> {
        tell("--", text)
    }

    /// To be mended; with the remedy.
    pub(super) fn trouble(&mut self, text: &str) -> io::Result<()> {
        self.troubles += 1;
        tell("!!", text)
    }

    /// Whether nothing is left to be mended.
    pub(super) fn is_well(&self) -> bool {
        self.troubles == 0
    }

    /// The last line of a set-up.
    pub(super) fn sum_up(&self) -> io::Result<()> {
        match self.changes {
            0 => writeln!(io::stdout(), "nothing to change: MinIO was set up already"),
            1 => writeln!(io::stdout(), "set up: 1 change"),
            changes => writeln!(io::stdout(), "set up: {changes} changes"),
        }
    }
}

/// Says on standard error what is waited for, so that standard output stays a list of results.
pub(super) fn progress(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn tell(mark: &str, text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{mark}  {text}")
}
