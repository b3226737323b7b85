//! How much there is to do: a list of its own, counted and forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Result;
use audit_core::pipeline::backfill::{Listed, Lister, Met};
use tokio::task::JoinHandle;

use super::Args;
use super::source::Plan;
use super::state::State;
use crate::work::Work;

/// Files that are read to measure how long reading takes.
const SAMPLE: usize = 20;

/// What was counted so far.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) files: AtomicU64,
    pub(super) bytes: AtomicU64,
    /// Whether that is all.
    pub(super) whole: AtomicBool,
}

/// All that a list tells.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Files to be taken, and their bytes.
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Objects without logs.
    pub(super) skipped: u64,
    /// Files that are finished already.
    pub(super) before: u64,
    /// Folders of other services, or of none.
    pub(super) foreign: u64,
    /// Files to be restored before they can be read, among those to be taken.
    pub(super) archived: u64,
    /// Requests that listing took.
    pub(super) requests: u64,
    /// A few files at random.
    pub(super) sample: Vec<Listed>,
}

/// Counts while the run goes on, for those who watch: what fails here fails there too, and is told there.
pub(super) fn in_background(
    args: &Args,
    work: &Work,
    plan: &Plan,
    target: &str,
) -> Result<(Arc<Counted>, JoinHandle<()>)> {
    let (lister, bucket) = (plan.lister(&args.source, work), args.source.bucket.clone());
    let finished = if args.again { None } else { Some(State::open(&args.state, target)?) };
    let counted = Arc::<Counted>::default();
    let so_far = Arc::clone(&counted);
    let counting = tokio::spawn(async move {
        let _told_by_the_run = count(lister, &bucket, finished, so_far).await;
    });
    Ok((counted, counting))
}

/// Counts all that `lister` finds in `bucket`; `state` tells what is finished, where that is to be passed over.
pub(super) async fn count(
    mut lister: Lister,
    bucket: &str,
    state: Option<State>,
    so_far: Arc<Counted>,
) -> Result<Survey> {
    let mut survey = Survey::default();
    while let Some(met) = lister.next().await? {
        match met {
            Met::Skipped(_) => survey.skipped += 1,
            Met::Foreign(_) => survey.foreign += 1,
            Met::Log(file) => {
                if state.as_ref().map_or(Ok(false), |state| state.knows(bucket, &file))? {
                    survey.before += 1;
                    continue;
                }
                survey.take(file);
                so_far.files.store(survey.files, Ordering::Relaxed);
                so_far.bytes.store(survey.bytes, Ordering::Relaxed);
            }
        }
    }
    survey.requests = lister.requests();
    so_far.whole.store(true, Ordering::Relaxed);
    Ok(survey)
}

impl Survey {
    fn take(&mut self, file: Listed) {
        self.files += 1;
        self.bytes += file.size;
        if file.archived {
            self.archived += 1;
        } else if self.sample.len() < SAMPLE {
            self.sample.push(file);
        } else if let Some(place) =
            usize::try_from(fastrand::u64(..self.files)).ok().and_then(|at| self.sample.get_mut(at))
        {
            *place = file;
        }
    }
}
