//! Which log files are meant, and whether they may be taken.

use anyhow::{Result, bail};
use audit_core::pipeline::backfill::{Days, Lister};
use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::Args;
use crate::work::{Mistake, Usage, Work};

/// A bucket, and a folder in it (empty: all of it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) bucket: String,
    pub(super) prefix: String,
}

/// Reads `s3://BUCKET/PREFIX`.
pub(super) fn url(text: &str) -> Result<Source, &'static str> {
    let rest = text.strip_prefix("s3://").ok_or("expected s3://BUCKET or s3://BUCKET/PREFIX")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err("expected a bucket's name after s3://");
    }
    Ok(Source { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

/// What is to be taken.
pub(super) struct Plan {
    pub(super) days: Days,
    /// Why days that old are not taken without being asked for.
    pub(super) expired: Option<String>,
}

/// Reads the arguments against the settings.
pub(super) fn plan(args: &Args, work: &Work) -> Result<Plan> {
    let now = work.clock().now();
    let today = now.to_zoned(TimeZone::UTC).date();
    let days = Days { from: args.from, to: args.to.unwrap_or(today) };
    if days.to < days.from {
        bail!(Usage("--to: expected a day that is not before --from"));
    }
    if let Some(only) = work.config.cloudtrail_bucket.as_deref().filter(|only| *only != args.source.bucket) {
        bail!(Mistake(format!("s3://{}: expected the bucket of CLOUDTRAIL_BUCKET, {only}", args.source.bucket)));
    }
    let ttl = work.config.terms.ttl;
    let since = SignedDuration::try_from(ttl).ok().and_then(|ttl| now.checked_sub(ttl).ok());
    // Of the day in which the memory begins, the first hours are forgotten.
    let remembered = since.and_then(|since| since.to_zoned(TimeZone::UTC).date().tomorrow().ok());
    let expired = remembered.filter(|first| days.from < *first).map(|first| {
        format!(
            "--from: expected {first} or later: the ledger remembers deliveries for LEDGER_TTL ({} days), so it cannot tell what of the days \
             before was delivered already, and that would be billed a second time; --allow-expired takes them all the same, for days that \
             were never delivered",
            ttl.as_secs() / (24 * 60 * 60)
        )
    });
    Ok(Plan { days, expired })
}

impl Plan {
    /// A new list of the log files in `source`.
    pub(super) fn lister(&self, source: &Source, work: &Work) -> Lister {
        Lister::new(work.config.aws.s3(), &source.bucket, &source.prefix, self.days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_buckets_or_folders_in_them() {
        let source = |bucket: &str, prefix: &str| Ok(Source { bucket: bucket.into(), prefix: prefix.into() });
        assert_eq!(url("s3://b"), source("b", ""));
        assert_eq!(url("s3://b/"), source("b", ""));
        assert_eq!(url("s3://b/a/c/"), source("b", "a/c/"));
        for text in ["b", "s3://", "s3:///a", "https://b/a"] {
            assert!(url(text).is_err(), "{text}");
        }
    }
}
