//! What is done with a held batch.

use std::io::{Write, stderr, stdout};

use anyhow::{Context, Result};
use audit_core::delivery::Outcome;
use audit_core::ledger::BatchId;
use audit_core::pipeline::Pipeline;
use audit_core::record::{Download, Key};
use audit_core::store::{HeldBatch, Store};
use audit_core::tally::Tally;
use uuid::Uuid;

use super::chosen;
use super::database::{Database, Verdict};
use crate::complain;
use crate::work::{Usage, Work, ledger};

/// Settles what the database proves; says whether something is left.
pub(super) async fn settle(work: &Work, batches: Vec<Uuid>, older_than_seconds: u64) -> Result<bool> {
    let url = work
        .config
        .database_url
        .as_ref()
        .ok_or(Usage("DATABASE_URL: expected postgres://USER:PASSWORD@HOST/DATABASE"))?;
    let (pipeline, store) = (work.pipeline().await?, work.held());
    let mut database = Database::connect(url).await?;
    let mut left = false;
    for batch in chosen(&store, batches).await? {
        let Some((held, downloads)) = read(&store, batch).await? else { continue };
        let age = work.clock().now().duration_since(held.held_at).as_secs();
        let old = u64::try_from(age).is_ok_and(|age| age >= older_than_seconds);
        let settled = match database.judge(batch, &downloads, old).await? {
            Verdict::Inserted => {
                close(&pipeline, &store, batch, &downloads).await?;
                say(batch, "inserted: counts as delivered")?
            }
            Verdict::NotInserted => {
                say(batch, "not inserted: delivering it now")?;
                deliver(&pipeline, &store, batch, &downloads).await?
            }
            Verdict::Unproven(why) => {
                say(batch, &format!("stays held: {why}"))?;
                false
            }
        };
        left |= !settled;
    }
    Ok(left)
}

/// Delivers batches again; says whether something is left.
pub(super) async fn resend(work: &Work, batches: Vec<Uuid>) -> Result<bool> {
    let (pipeline, store) = (work.pipeline().await?, work.held());
    writeln!(stderr(), "s3audit: what the resource server has inserted already is billed twice by this")?;
    let mut left = false;
    for batch in chosen(&store, batches).await? {
        if let Some((_, downloads)) = read(&store, batch).await? {
            left |= !deliver(&pipeline, &store, batch, &downloads).await?;
        }
    }
    Ok(left)
}

/// Counts batches as delivered.
pub(super) async fn drop_batches(work: &Work, batches: Vec<Uuid>) -> Result<bool> {
    let (pipeline, store) = (work.pipeline().await?, work.held());
    for batch in chosen(&store, batches).await? {
        if let Some((_, downloads)) = read(&store, batch).await? {
            close(&pipeline, &store, batch, &downloads).await?;
            say(batch, "dropped: counts as delivered")?;
        }
    }
    Ok(false)
}

async fn read(store: &Store, batch: BatchId) -> Result<Option<(HeldBatch, Vec<Download>)>> {
    let Some(held) = store.get_held(batch).await? else {
        complain(&anyhow::anyhow!("{batch}: no such batch is held"));
        return Ok(None);
    };
    let downloads = held.downloads()?;
    Ok(Some((held, downloads)))
}

/// The ledger first: of a crash in between, the file is left to do it again.
async fn close(pipeline: &Pipeline, store: &Store, batch: BatchId, downloads: &[Download]) -> Result<()> {
    // Confirming also covers what the ledger could not be told that it is held.
    ledger(pipeline)?.confirm(&keys(downloads), batch).await?;
    Ok(store.remove_held(batch).await?)
}

/// Frees a batch and delivers it; what is delivered, refused or held anew leaves this batch, which stays while any is pending.
async fn deliver(pipeline: &Pipeline, store: &Store, batch: BatchId, downloads: &[Download]) -> Result<bool> {
    ledger(pipeline)?.settle(&keys(downloads), batch, false).await?;
    let mut tally = Tally::default();
    let report = pipeline.replay(downloads, &mut tally).await.context("PROCESS_API_URL: expected a URL")?;
    let count = |outcome| report.outcomes.iter().filter(|own| **own == outcome).count();
    let (delivered, duplicates, held) = (count(Outcome::Delivered), count(Outcome::Duplicate), count(Outcome::Held));
    let (rejected, pending) = (count(Outcome::Rejected), count(Outcome::Pending));
    let why = report.trouble.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
    let told = format!(
        "{delivered} delivered, {duplicates} delivered before, {rejected} quarantined, {held} held under a new id, {pending} left{why}"
    );
    say(batch, &told)?;
    if pending > 0 {
        return Ok(false);
    }
    store.remove_held(batch).await?;
    Ok(held == 0)
}

fn keys(downloads: &[Download]) -> Vec<Key> {
    downloads.iter().map(Download::key).collect()
}

fn say(batch: BatchId, what: &str) -> Result<bool> {
    writeln!(stdout(), "{batch}  {what}")?;
    Ok(true)
}
