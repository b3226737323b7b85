//! `/metrics`: the accounts since start, the spool, and the upstream's latency, in the `OpenMetrics` text format.

use std::fmt::Error;
use std::sync::Arc;

use audit_core::delivery::{BOUNDS_SECONDS, Seen};
use audit_core::pipeline::standalone::Standalone;
use audit_core::tally::{Analytics, Tally};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// The content type of what [`Metrics::text`] writes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that `/metrics` tells.
pub(crate) struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Metrics of `standalone`, read at each scrape.
    pub(crate) fn new(standalone: Arc<Standalone>) -> Self {
        let mut registry = Registry::with_prefix("s3audit");
        registry.register_collector(Box::new(Scrape(standalone)));
        Self { registry }
    }

    /// The text of a scrape.
    ///
    /// # Errors
    /// None in practice: text is written to memory.
    pub(crate) fn text(&self) -> Result<String, Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[derive(Debug)]
struct Scrape(Arc<Standalone>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let tally = self.0.accounts().now();
        tally_counters(&mut encoder, &tally)?;
        analytics_counters(&mut encoder, tally.analytics)?;
        let spool = self.0.waiting();
        gauge(&mut encoder, "spool_entries", "Entries in the spool", spool.entries)?;
        gauge(&mut encoder, "spool_bytes", "Bytes of the entries in the spool", spool.bytes)?;
        let oldest_seconds = spool.oldest.map_or(0, |age| age.as_secs());
        gauge(&mut encoder, "spool_oldest_seconds", "Age of the oldest entry in the spool", oldest_seconds)?;
        match self.0.latency() {
            Some(seen) => upstream(&mut encoder, &seen),
            None => Ok(()),
        }
    }
}

fn tally_counters(encoder: &mut DescriptorEncoder<'_>, tally: &Tally) -> Result<(), Error> {
    let deliveries = tally.deliveries.unwrap_or_default();
    counter(encoder, "records", "Records received", tally.records)?;
    counter(encoder, "downloads", "Downloads to bill", tally.downloads)?;
    counter(encoder, "delivered", "Downloads that the resource server confirmed", deliveries.delivered)?;
    counter(encoder, "duplicates", "Downloads that were dealt with before", tally.duplicates)?;
    family(
        encoder,
        "skipped",
        "Records with nothing to bill",
        "reason",
        tally.skipped.iter().map(|(r, &n)| (r.name(), n)),
    )?;
    family(
        encoder,
        "quarantined",
        "Records kept for a person to look at",
        "reason",
        tally.quarantined.iter().map(|(r, &n)| (r.name(), n)),
    )?;
    gauge(encoder, "pending", "Downloads to be delivered", deliveries.pending)?;
    gauge(encoder, "held", "Downloads sent with unknown outcome", deliveries.held)
}

fn upstream(encoder: &mut DescriptorEncoder<'_>, seen: &Seen) -> Result<(), Error> {
    let help = "Time to an answer of the resource server";
    let mut before = 0;
    let mut buckets: Vec<(f64, u64)> = Vec::new();
    for (bound, cumulative) in BOUNDS_SECONDS.into_iter().zip(seen.cumulative) {
        buckets.push((bound, cumulative - before));
        before = cumulative;
    }
    buckets.push((f64::MAX, seen.count - before));
    let mut encoder = encoder.encode_descriptor("upstream_seconds", help, None, MetricType::Histogram)?;
    encoder.encode_histogram::<NoLabelSet>(seen.sum_seconds, seen.count, &buckets, None)
}

fn analytics_counters(encoder: &mut DescriptorEncoder<'_>, own: Analytics) -> Result<(), Error> {
    let outcomes = [
        ("recorded", own.recorded),
        ("dropped", own.dropped),
        ("rejected", own.rejected),
        ("ambiguous", own.ambiguous),
        ("too_late", own.too_late),
        ("excluded", own.excluded),
        ("duplicate", own.duplicates),
    ];
    family(encoder, "analytics", "Reads by what became of their analytics event", "outcome", outcomes)
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Result<(), Error> {
    let counter = ConstCounter::new(value);
    counter.encode(described(encoder, name, help, &counter)?)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Result<(), Error> {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    gauge.encode(described(encoder, name, help, &gauge)?)
}

fn family<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: impl IntoIterator<Item = (&'a str, u64)>,
) -> Result<(), Error> {
    let mut encoder = described(encoder, name, help, &ConstCounter::new(0_u64))?;
    for (name, value) in values {
        ConstCounter::new(value).encode(encoder.encode_family(&[(label, name)])?)?;
    }
    Ok(())
}

fn described<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    name: &'e str,
    help: &str,
    metric: &impl EncodeMetric,
) -> Result<MetricEncoder<'e>, Error> {
    encoder.encode_descriptor(name, help, None, metric.metric_type())
}
