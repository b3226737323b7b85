//! `s3audit quarantine replay`.

use std::io::{Write, stderr};

use anyhow::{Context, Result, bail};
use audit_core::delivery::Outcome;
use audit_core::pipeline::Pipeline;
use audit_core::pipeline::rejudge::{Corrections, judge, line_key};
use audit_core::policy::Verdict;
use audit_core::record::{Download, Key};
use audit_core::store::Store;
use audit_core::tally::{Deliveries, Tally};

use super::filter::{Filter, Met, Records};
use crate::complain;
use crate::work::{Usage, Work};

/// Judges and delivers what is meant; says whether something is left.
pub(super) async fn replay(work: &Work, filter: &Filter, set: &[String]) -> Result<bool> {
    let corrections = corrections(set)?;
    if !corrections.is_empty() && !filter.names_one() {
        bail!(Usage("--set: expected --id, or --source with a record's number (SOURCE#N): it is for one record"));
    }
    let (pipeline, store) = (work.pipeline().await?, work.quarantine());
    let mut records = Records::open(&store, filter).await?;
    let mut run = Run {
        pipeline: &pipeline,
        store: &store,
        tally: Tally { deliveries: Some(Deliveries::default()), ..Tally::default() },
        batch: Vec::new(),
        stopped: None,
    };
    while run.stopped.is_none()
        && let Some(met) = records.next().await?
    {
        match met {
            Met::Unreadable(file, line) => {
                complain(&anyhow::anyhow!("{file} line {line}: expected a quarantined record"));
            }
            Met::Entry(_, entry) => match judge(&entry, &corrections, pipeline.policy()) {
                Verdict::Download(download) => run.take(download, line_key(&entry)).await?,
                Verdict::Skipped(reason) => run.tally.skip(reason, 1),
                Verdict::Quarantined(reason, _) => run.tally.quarantine(reason),
            },
        }
    }
    run.deliver().await?;
    run.account()
}

struct Run<'a> {
    pipeline: &'a Pipeline,
    store: &'a Store,
    tally: Tally,
    /// Downloads, each with what marks its line.
    batch: Vec<(Download, Key)>,
    /// Why nothing more is delivered.
    stopped: Option<String>,
}

impl Run<'_> {
    async fn take(&mut self, download: Download, line: Key) -> Result<()> {
        self.batch.push((download, line));
        if self.batch.len() >= self.pipeline.batch_max_records() { self.deliver().await } else { Ok(()) }
    }

    /// Delivers what has gathered, then marks what is dealt with: of a crash in between, the ledger knows.
    async fn deliver(&mut self) -> Result<()> {
        let (downloads, lines): (Vec<Download>, Vec<Key>) = self.batch.drain(..).unzip();
        let report =
            self.pipeline.replay(&downloads, &mut self.tally).await.context("PROCESS_API_URL: expected a URL")?;
        let outcomes = report.outcomes.iter().zip(downloads.iter().zip(lines));
        let marks = outcomes.filter_map(|(outcome, (download, line))| match outcome {
            // Wherever a copy of it stands, it is dealt with.
            Outcome::Delivered | Outcome::Duplicate | Outcome::Held => Some(download.key()),
            // A new line stands for it.
            Outcome::Rejected => Some(line),
            Outcome::Pending => None,
        });
        self.store.mark_replayed(&marks.collect::<Vec<_>>()).await?;
        if report.outcomes.contains(&Outcome::Pending) {
            self.stopped = Some(report.trouble.unwrap_or_else(|| "not delivered yet".to_owned()));
        }
        Ok(())
    }

    /// Tells what became of every record; says whether something is left.
    fn account(self) -> Result<bool> {
        if let Some(why) = &self.stopped {
            complain(&anyhow::anyhow!("stopped: {why}"));
        }
        writeln!(stderr(), "{}", serde_json::to_string(&self.tally)?)?;
        let deliveries = self.tally.deliveries.unwrap_or_default();
        Ok(deliveries.pending + deliveries.held > 0)
    }
}

fn corrections(set: &[String]) -> Result<Corrections> {
    let mut own = Corrections::default();
    for pair in set {
        let (name, value) = pair.split_once('=').ok_or(Usage("--set: expected NAME=VALUE"))?;
        let slot = match name {
            "userId" => &mut own.user,
            "collectionId" => &mut own.collection,
            "itemId" => &mut own.item,
            "bytes" => &mut own.bytes,
            "timestamp" => &mut own.timestamp,
            _ => bail!(Usage("--set: expected userId, collectionId, itemId, bytes or timestamp as NAME")),
        };
        *slot = Some(value.to_owned());
    }
    own.check().context(Usage("--set"))?;
    Ok(own)
}
