//! Which records of the quarantine are meant.

use std::collections::{HashSet, VecDeque};

use anyhow::Result;
use audit_core::pipeline::rejudge::{download_key, line_key};
use audit_core::quarantine::QuarantineEntry;
use audit_core::record::Key;
use audit_core::store::{Lines, Store};

/// Filters that `list` and `replay` share.
#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// Only records of this reason, such as `invalid_bytes`
    #[arg(long)]
    reason: Option<String>,
    /// Only records whose source begins so; with `#N`, that one record
    #[arg(long, value_name = "PREFIX")]
    source: Option<String>,
    /// Only records quarantined on this day
    #[arg(long, value_name = "YYYY-MM-DD")]
    day: Option<jiff::civil::Date>,
    /// Only records of this id
    #[arg(long)]
    id: Option<String>,
}

impl Filter {
    /// Whether at most one record (and copies of it) is meant.
    pub(super) fn names_one(&self) -> bool {
        self.id.is_some() || self.source.as_deref().is_some_and(is_numbered)
    }

    fn takes(&self, entry: &QuarantineEntry) -> bool {
        let source = self
            .source
            .as_deref()
            .is_none_or(|own| if is_numbered(own) { entry.source == own } else { entry.source.starts_with(own) });
        source
            && self.reason.as_deref().is_none_or(|own| entry.reason.name() == own)
            && self.id.as_deref().is_none_or(|own| entry.id.as_deref() == Some(own))
    }
}

fn is_numbered(source: &str) -> bool {
    source.rsplit_once('#').is_some_and(|(_, number)| number.parse::<u64>().is_ok())
}

/// What is met in the quarantine.
pub(super) enum Met {
    /// A record that is meant and not dealt with, and its day.
    Entry(String, QuarantineEntry),
    /// A line that cannot be read: file and number.
    Unreadable(String, u64),
}

/// The records that are meant, file by file, one in memory at a time.
pub(super) struct Records<'a> {
    store: &'a Store,
    filter: &'a Filter,
    done: HashSet<Key>,
    files: VecDeque<String>,
    current: Option<(String, Lines)>,
}

impl<'a> Records<'a> {
    pub(super) async fn open(store: &'a Store, filter: &'a Filter) -> Result<Self> {
        let day = filter.day.map(|day| day.to_string());
        let files = store.quarantine_files().await?.into_iter();
        let files = files.filter(|name| day.as_ref().is_none_or(|day| day_of(name) == *day)).collect();
        Ok(Self { store, filter, done: store.replayed().await?, files, current: None })
    }

    pub(super) async fn next(&mut self) -> Result<Option<Met>> {
        loop {
            let Some((name, lines)) = &mut self.current else {
                let Some(name) = self.files.pop_front() else { return Ok(None) };
                let lines = self.store.quarantine_file(&name).await?;
                self.current = Some((name, lines));
                continue;
            };
            let Some(line) = lines.next().await? else {
                self.current = None;
                continue;
            };
            let Some(entry) = line.entry else { return Ok(Some(Met::Unreadable(name.clone(), line.number))) };
            let is_done = self.done.contains(&line_key(&entry))
                || download_key(&entry).is_some_and(|key| self.done.contains(&key));
            if !is_done && self.filter.takes(&entry) {
                return Ok(Some(Met::Entry(day_of(name), entry)));
            }
        }
    }
}

/// Of `2026-03-12.jsonl` and of `2026/03/12/UUID.jsonl`.
fn day_of(name: &str) -> String {
    name.get(..10).unwrap_or(name).replace('/', "-")
}
