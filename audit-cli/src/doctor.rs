//! `s3audit doctor`: whether what the programs need is there, with the remedy where it is not.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use audit_core::client::{Client, Connections};
use audit_core::config::{AnalyticsConfig, Environment, read_analytics};
use audit_core::sink::plausible::check::{Finding, check};

const EXAMPLES: &str = "\
Examples:
  s3audit doctor
  PLAUSIBLE_API_URL=http://plausible:8000 PLAUSIBLE_DATA_DOMAIN=data.example.org s3audit doctor

Looks at the analytics sink. It asks for GET /api/health, and sends one event named `s3audit check`, not interactive and without a
visitor's address, since only an event tells whether the site is known. No goal has this name, so no dashboard lists it.

Status: 0 = all is well, 1 = something is to be mended, 64 = wrong usage or settings.

Settings (environment, or a .env file): PLAUSIBLE_API_URL, PLAUSIBLE_DATA_DOMAIN and the other PLAUSIBLE_ variables.";

/// Arguments of `s3audit doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

/// Reads what is to be looked at; `None`: the analytics sink is off.
pub(crate) fn settings() -> Result<Option<AnalyticsConfig>> {
    Ok(read_analytics(&Environment)?)
}

/// Looks, and tells.
pub(crate) fn run(config: Option<&AnalyticsConfig>) -> Result<ExitCode> {
    let Some(config) = config else {
        tell("--", "analytics: off (PLAUSIBLE_API_URL and PLAUSIBLE_DATA_DOMAIN are not set)")?;
        return Ok(ExitCode::SUCCESS);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("runtime")?;
    let client = Client::new(Connections::Fresh)?;
    let mut healthy = true;
    for finding in runtime.block_on(check(config, &client))? {
        match finding {
            Finding::Fine(text) => tell("ok", &text)?,
            Finding::Note(text) => tell("--", &text)?,
            Finding::Trouble(text) => {
                healthy = false;
                tell("!!", &text)?;
            }
        }
    }
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(mark: &str, text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{mark}  {text}")
}
