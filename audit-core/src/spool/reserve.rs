//! Room kept free on the disk: when entries have filled it, deliveries still need some to make more.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long to wait before trying to take the room back.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
    held: bool,
    tried: Option<Instant>,
}

impl Reserve {
    pub(super) fn new(path: PathBuf, bytes: u64) -> Self {
        let mut own = Self { path, bytes, held: false, tried: None };
        own.take();
        own
    }

    /// Whether the room is kept. If not, tries to take it back, which writes all of it and so is done now and then only.
    pub(super) fn take(&mut self) -> bool {
        if !self.held && self.tried.is_none_or(|tried| tried.elapsed() >= PAUSE) {
            self.tried = Some(Instant::now());
            self.held = self.fill().is_ok();
            if !self.held {
                self.give();
            }
        }
        self.held
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives the room to whoever writes next; whether there was any.
    pub(super) fn give(&mut self) -> bool {
        self.held = false;
        std::fs::metadata(&self.path).is_ok_and(|file| file.len() > 0) && File::create(&self.path).is_ok()
    }

    fn fill(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(&self.path)?;
        if file.metadata()?.len() == self.bytes {
            return Ok(());
        }
        file.set_len(0)?;
        // Written out, as a file merely made longer takes no room.
        let block = [0; 8 << 10];
        let mut left = self.bytes;
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
            file.write_all(block.get(..part).unwrap_or(&block))?;
            left -= part as u64;
        }
        file.sync_all()
    }
}
