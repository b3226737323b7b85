//! The lines that are told, and the status they come to.

use std::io::{self, Write};
use std::process::ExitCode;

use audit_core::check::Finding;

use crate::USAGE;

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    troubles: u64,
    wrong_settings: bool,
}

impl Report {
    /// Tells a finding at once: the next may take a while.
    pub(super) fn tell(&mut self, finding: &Finding) -> io::Result<()> {
        let (mark, text) = match finding {
            Finding::Fine(text) => ("ok", text),
            Finding::Note(text) => ("--", text),
            Finding::Trouble(text) => {
                self.troubles += 1;
                ("!!", text)
            }
        };
        writeln!(io::stdout(), "{mark}  {text}")
    }

    pub(super) fn tell_all(&mut self, findings: &[Finding]) -> io::Result<()> {
        findings.iter().try_for_each(|finding| self.tell(finding))
    }

    /// Tells of a setting with which a program does not start.
    pub(super) fn wrong_setting(&mut self, text: String) -> io::Result<()> {
        self.wrong_settings = true;
        self.tell(&Finding::Trouble(text))
    }

    pub(super) fn status(&self) -> ExitCode {
        match (self.wrong_settings, self.troubles) {
            (true, _) => ExitCode::from(USAGE),
            (false, 0) => ExitCode::SUCCESS,
            (false, _) => ExitCode::FAILURE,
        }
    }
}
