//! The binary: reads `.env`, the environment and the command line, prints its address when ready, serves until told
//! to stop.

use std::io::Write;

use anyhow::Context;
use clap::Parser;
use local_upstreams::{Config, Upstreams};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

fn main() -> anyhow::Result<()> {
    // Before there are threads: it writes to the environment.
    read_dotenv()?;
    let config = Config::parse();
    registry().with(fmt::layer().with_writer(std::io::stderr).with_filter(config.log.clone())).init();
    tokio::runtime::Runtime::new()?.block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let upstreams = Upstreams::start(config).await?;
    // Before anybody is told that it is there: until then they kill it.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    writeln!(std::io::stdout(), "http://{}", upstreams.address()).context("the address could not be printed")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    upstreams.stop().await
}

fn read_dotenv() -> anyhow::Result<()> {
    match dotenvy::dotenv() {
        Ok(_) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        // The error quotes the line, which may hold a secret.
        Err(_) => anyhow::bail!(".env: expected lines of NAME=value"),
    }
}
