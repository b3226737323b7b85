//! What `s3audit parse` takes from the environment and a `.env` file.

use anyhow::{Context, Result, bail};
use audit_core::event::IdParams;
use audit_core::policy::MeteringPolicy;
use audit_core::source::ReadLimits;

/// The settings that say what is counted and how much is read.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) policy: MeteringPolicy,
    pub(crate) limits: ReadLimits,
}

/// Reads and checks all of them; an error names the variable, never its value.
pub(crate) fn load() -> Result<Settings> {
    match dotenvy::dotenv() {
        Ok(_) => {}
        Err(error) if error.not_found() => {}
        // The library's own message quotes the line, which may hold a secret.
        Err(_) => bail!(".env: expected lines of NAME=value"),
    }
    let defaults = IdParams::default();
    let params = IdParams {
        user: name("USER_ID_PARAM", defaults.user)?,
        collection: name("COLLECTION_ID_PARAM", defaults.collection)?,
        item: name("ITEM_ID_PARAM", defaults.item)?,
        asset: name("ASSET_ID_PARAM", defaults.asset)?,
    };
    let anonymous_user = variable("ANONYMOUS_USER_ID")?
        .map(|id| audit_core::record::parse_uuid(&id, "ANONYMOUS_USER_ID"))
        .transpose()?;
    let mut limits = ReadLimits::default();
    if let Some(bytes) = variable("MAX_DECOMPRESSED_BYTES")? {
        limits.max_text_bytes = bytes
            .parse()
            .ok()
            .filter(|&bytes| bytes > 0)
            .context("MAX_DECOMPRESSED_BYTES: expected a whole number of bytes above 0")?;
    }
    Ok(Settings { policy: MeteringPolicy { params, anonymous_user }, limits })
}

fn name(variable_name: &str, default: String) -> Result<String> {
    Ok(variable(variable_name)?.unwrap_or(default))
}

/// The variable's value; an empty one counts as not set.
#[allow(clippy::disallowed_methods, reason = "the one place of this binary that reads the environment")]
fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => bail!("{name}: expected UTF-8"),
    }
}
