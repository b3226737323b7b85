//! A look at one log file, without delivering it: what reading it costs, and what is in it.

use crate::pipeline::object::fetch;
use crate::policy::MeteringPolicy;
use crate::source::ReadLimits;

/// What a log file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// Records.
    pub records: u64,
    /// Downloads among them, copies of others included.
    pub downloads: u64,
}

/// Reads `s3://bucket/key` to its end; an empty one holds nothing.
///
/// # Errors
/// When it cannot be read, or is no good log file: why.
pub async fn sample(
    s3: &aws_sdk_s3::Client,
    (bucket, key): (&str, &str),
    policy: MeteringPolicy,
    limits: ReadLimits,
) -> Result<Sample, String> {
    let file = fetch(s3, (bucket, key), policy, limits).await.map_err(|error| error.to_string())?;
    let Some(file) = file else { return Ok(Sample::default()) };
    let skipped: u64 = file.skipped.values().sum();
    let downloads = file.records.saturating_sub(skipped).saturating_sub(file.found.quarantined());
    Ok(Sample { records: file.records, downloads })
}
