//! Ctrl-C (or SIGTERM): the first ends the run in order, the second at once.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::complain;

/// What a shell shows for a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// Tells that the run is to end.
#[derive(Debug, Clone)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens from now on.
    pub(super) fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("signals");
        let (interrupt, terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        let (told, asked) = watch::channel(false);
        tokio::spawn(hear(interrupt, terminate, told));
        Ok(Self(asked))
    }

    /// Whether the run is to end.
    pub(super) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the run is to end.
    pub(super) async fn asked(&mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn hear(mut interrupt: Signal, mut terminate: Signal, told: watch::Sender<bool>) {
    next(&mut interrupt, &mut terminate).await;
    complain(&anyhow::anyhow!("ending: the files under way are finished first; once more ends at once"));
    told.send_replace(true);
    next(&mut interrupt, &mut terminate).await;
    // As by a kill: the ledger knows what was being sent.
    std::process::exit(INTERRUPTED);
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
