//! A run as metrics, in CloudWatch's embedded metric format: a line of JSON in the log that CloudWatch reads metrics from.
//!
//! Specification: Amazon CloudWatch User Guide, "Specification: Embedded metric format". Counts of 0 are left out, but for
//! `records`: CloudWatch bills a metric by the hours it is written in, and a sum over nothing is 0 as well.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::delivery::Requests;
use crate::tally::Tally;

/// Namespace of all metrics.
pub const NAMESPACE: &str = "S3Audit";

/// Values that one metric of one document may have, as the specification has it.
const MAX_VALUES: usize = 100;

/// All metrics of a function, with their units; `quarantined` is there by function, and again by function and reason.
pub const METRICS: &[(&str, &str)] = &[
    ("records", "Count"),
    ("downloads", "Count"),
    ("delivered", "Count"),
    ("pending", "Count"),
    ("held", "Count"),
    ("duplicates", "Count"),
    ("skipped", "Count"),
    ("quarantined", "Count"),
    ("objects_read", "Count"),
    ("objects_skipped", "Count"),
    ("objects_failed", "Count"),
    ("analytics_recorded", "Count"),
    ("analytics_dropped", "Count"),
    ("analytics_rejected", "Count"),
    ("analytics_ambiguous", "Count"),
    ("analytics_too_late", "Count"),
    ("analytics_excluded", "Count"),
    ("analytics_duplicates", "Count"),
    ("analytics_pending", "Count"),
    ("upstream_errors", "Count"),
    ("upstream_seconds", "Seconds"),
    ("batch_records", "Count"),
    ("oldest_seconds", "Seconds"),
];

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// Name of the Lambda function.
    pub function: &'a str,
    /// When the run ended.
    pub at: Timestamp,
    /// Its accounting.
    pub tally: &'a Tally,
    /// Its requests to the resource server.
    pub requests: Requests,
    /// When the oldest of its messages was sent to SQS, in milliseconds since 1970.
    pub oldest_sent_ms: Option<i64>,
}

/// The run's documents, each to be one line of the log: one with its numbers, one for each reason of quarantine, and more where
/// there were more requests than a document may hold values.
///
/// ```
/// use audit_core::{delivery::Requests, emf, tally::Tally};
///
/// let tally = Tally { records: 2, downloads: 2, ..Tally::default() };
/// let (at, requests) = (jiff::Timestamp::UNIX_EPOCH, Requests::default());
/// let run = emf::Run { function: "reader", at, tally: &tally, requests, oldest_sent_ms: None };
/// let [document] = emf::documents(&run).try_into().unwrap();
/// assert_eq!((&document["function"], &document["downloads"]), (&"reader".into(), &2.into()));
/// assert_eq!(document["_aws"]["CloudWatchMetrics"][0]["Namespace"], emf::NAMESPACE);
/// ```
#[must_use]
pub fn documents(run: &Run<'_>) -> Vec<Value> {
    let seconds: Vec<f64> = run.requests.seconds.iter().copied().collect();
    let records: Vec<usize> = run.requests.records.iter().copied().collect();
    let mut requests = seconds
        .chunks(MAX_VALUES)
        .zip(records.chunks(MAX_VALUES))
        .map(|(seconds, records)| [("upstream_seconds", json!(seconds)), ("batch_records", json!(records))]);
    let mut numbers = numbers(run);
    numbers.extend(requests.next().into_iter().flatten());
    let mut documents = vec![document(run, None, numbers)];
    documents.extend(requests.map(|values| document(run, None, values.into())));
    let reasons = run.tally.quarantined.iter();
    documents.extend(
        reasons.map(|(reason, &records)| document(run, Some(reason.name()), vec![("quarantined", records.into())])),
    );
    documents
}

fn numbers(run: &Run<'_>) -> Vec<(&'static str, Value)> {
    let Tally { objects, records, downloads, skipped, duplicates, quarantined, deliveries, analytics } = run.tally;
    let deliveries = deliveries.unwrap_or_default();
    let counts = [
        ("downloads", *downloads),
        ("delivered", deliveries.delivered),
        ("pending", deliveries.pending),
        ("held", deliveries.held),
        ("duplicates", *duplicates),
        ("skipped", skipped.values().sum()),
        ("quarantined", quarantined.values().sum()),
        ("objects_read", objects.read),
        ("objects_skipped", objects.skipped),
        ("objects_failed", objects.failed),
        ("analytics_recorded", analytics.recorded),
        ("analytics_dropped", analytics.dropped),
        ("analytics_rejected", analytics.rejected),
        ("analytics_ambiguous", analytics.ambiguous),
        ("analytics_too_late", analytics.too_late),
        ("analytics_excluded", analytics.excluded),
        ("analytics_duplicates", analytics.duplicates),
        ("analytics_pending", analytics.pending),
        ("upstream_errors", run.requests.errors),
    ];
    let mut numbers = vec![("records", (*records).into())];
    numbers.extend(counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name, count.into())));
    // A sender's clock may be ahead of ours.
    let waited_ms = run.oldest_sent_ms.map(|sent| run.at.as_millisecond().saturating_sub(sent).max(0));
    numbers.extend(waited_ms.map(|waited| ("oldest_seconds", (waited / 1000).into())));
    numbers
}

fn document(run: &Run<'_>, reason: Option<&str>, numbers: Vec<(&'static str, Value)>) -> Value {
    let dimensions = if reason.is_some() { json!([["function", "reason"]]) } else { json!([["function"]]) };
    let metric = |name: &str| {
        let unit = METRICS.iter().find(|(own, _)| *own == name).map_or("None", |(_, unit)| unit);
        json!({ "Name": name, "Unit": unit })
    };
    let metrics: Vec<Value> = numbers.iter().map(|(name, _)| metric(name)).collect();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics });
    let mut members = Map::new();
    members
        .insert("_aws".to_owned(), json!({ "Timestamp": run.at.as_millisecond(), "CloudWatchMetrics": [directive] }));
    members.insert("function".to_owned(), run.function.into());
    members.extend(reason.map(|reason| ("reason".to_owned(), reason.into())));
    members.extend(numbers.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Value::Object(members)
}

#[cfg(test)]
mod tests;
