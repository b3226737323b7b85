//! The standalone server: a listener, a worker that delivers from the spool, and an orderly end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use audit_core::client::{Client, Connections, Trust};
use audit_core::clock::Clock;
use audit_core::config::{AnalyticsConfig, Config, Environment, Program};
use audit_core::logging;
use audit_core::pipeline::receiver::{Durable, Receiver};
use audit_core::pipeline::standalone::Standalone;
use audit_core::pipeline::{Parts, Pipeline};
use audit_core::sink::plausible::check::{Finding, check};
use audit_core::spool::Spool;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::app::{App, router};
use crate::bodies::Bodies;
use crate::listener::{self, Limits};
use crate::metrics::Metrics;
use crate::token::Door;

/// How long requests and the batch under way may take to end: longer than an answer that a request is begun for, and well below the 25 s
/// after which a stop is promised. What is not done by then is spooled, or will be held.
const GRACE: Duration = Duration::from_secs(16);
/// How long what waits for the system, such as the name of a server, may keep the program after that.
const LAST: Duration = Duration::from_secs(2);

/// Runs the server until SIGTERM or Ctrl-C.
pub(crate) fn main() -> anyhow::Result<()> {
    // A missing .env is the usual case; one that cannot be read is told.
    match dotenvy::dotenv() {
        // The error itself holds the line, and that a secret.
        Err(dotenvy::Error::LineParse(_, at)) => {
            anyhow::bail!(".env: a line cannot be read at its character {at}: expected NAME=value, with quotes closed")
        }
        Err(error) if !error.not_found() => return Err(error).context(".env"),
        _ => {}
    }
    logging::start(&Environment)?;
    let config = Config::read(&Environment, Program::Receiver)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(config));
    runtime.shutdown_timeout(LAST);
    ended
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let clock = Clock::system();
    let spool = Spool::open(&config.receiver.spool, clock.clone())?;
    // Entries have the spool, so they need not wait at the sender for a ledger that is away.
    let parts = Parts { spool: Some(spool.clone()), ledger_may_be_away: true, ..Parts::default() };
    let pipeline = Arc::new(Pipeline::open(&config, &clock, parts).await?);
    let standalone = Arc::new(Standalone::new(Arc::clone(&pipeline), spool, clock));
    let door = Door::open(&config).await?;
    let app = App {
        door,
        receiver: Receiver::new(Arc::clone(&pipeline), Durable::Spool(Arc::clone(&standalone))),
        bodies: Bodies::of(config.receiver.max_body_bytes),
        metrics: Some(Metrics::new(Arc::clone(&standalone))),
    };
    let mut stop_signals = StopSignals::listen()?;
    let listener = TcpListener::bind((config.receiver.bind_address, config.receiver.port)).await;
    let listener = listener.with_context(|| {
        format!("BIND_ADDRESS, PORT: cannot listen on {}:{}", config.receiver.bind_address, config.receiver.port)
    })?;
    tracing::info!(address = %listener.local_addr()?, "listening");

    let asking = Arc::clone(&pipeline);
    tokio::spawn(async move { asking.wait_for_ledger().await });
    if let Some(analytics) = config.analytics.clone() {
        tokio::spawn(look_at_plausible(analytics, config.trust));
    }

    let (stop, stopped) = watch::channel(false);
    let worker_stop = stopped.clone();
    let worker = tokio::spawn(async move {
        tokio::join!(standalone.run(worker_stop.clone()), standalone.run_analytics(worker_stop));
    });
    let server = tokio::spawn(listener::serve(listener, router(Arc::new(app)), Limits::default(), stopped));
    stop_signals.any().await;
    tracing::info!("stopping: what is not delivered stays in the spool");
    stop.send_replace(true);
    let ended = timeout(GRACE, async { (server.await, worker.await) }).await;
    if ended.is_err() {
        tracing::warn!("requests or a delivery were cut off: what was sent and not answered will be held");
    }
    Ok(())
}

/// Tells in the log what would keep events from the dashboard. Nothing waits for it.
async fn look_at_plausible(analytics: AnalyticsConfig, trust: Trust) {
    let findings = match Client::new(Connections::Fresh, trust) {
        Ok(client) => check(&analytics, &client).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match findings {
        Ok(findings) => findings.into_iter().for_each(|finding| match finding {
            Finding::Fine(text) | Finding::Note(text) => tracing::info!(text, "analytics"),
            Finding::Trouble(text) => tracing::warn!(text, "analytics"),
        }),
        Err(error) => tracing::warn!(error, "analytics"),
    }
}

/// The signals that end the server. They are listened for before anybody is told that it is there: until then they kill it.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
