//! Documents against the specification's rules.

use super::*;
use crate::policy::{QuarantineReason, SkipReason};
use crate::tally::{Analytics, Deliveries, Objects};

/// A run with every number above 0, each another.
fn full() -> Tally {
    let mut tally = Tally { records: 6, downloads: 6, duplicates: 20, ..Tally::default() };
    tally.records += 20;
    tally.deliveries = Some(Deliveries { delivered: 3, pending: 2, held: 1 });
    tally.objects = Objects { read: 7, skipped: 8, failed: 9 };
    tally.skip(SkipReason::NoIds, 10);
    tally.quarantine(QuarantineReason::InvalidBytes);
    tally.quarantine(QuarantineReason::InvalidBytes);
    tally.quarantine(QuarantineReason::Malformed);
    tally.analytics = Analytics {
        events: 36,
        recorded: 1,
        dropped: 2,
        rejected: 3,
        ambiguous: 4,
        too_late: 5,
        excluded: 6,
        duplicates: 7,
        pending: 8,
    };
    assert!(tally.adds_up());
    tally
}

fn run(tally: &Tally, requests: usize) -> Run<'_> {
    let requests = Requests {
        seconds: (0..requests).map(|number| f64::from(u32::try_from(number).unwrap()) / 8.0).collect(),
        records: (0..requests).collect(),
        errors: 11,
    };
    let at = Timestamp::from_millisecond(1_764_150_000_500).unwrap();
    Run { function: "metering-CloudTrailFunction-1", at, tally, requests, oldest_sent_ms: Some(1_764_149_940_000) }
}

/// What the specification's JSON schema asks of a document, and the limits that its text adds.
fn conforms(document: &Value) {
    let text = document.to_string();
    assert!(text.len() <= 256 << 10 && !text.contains('\n'));
    let root = document.as_object().unwrap();
    let aws = root["_aws"].as_object().unwrap();
    assert_eq!(aws.keys().collect::<Vec<_>>(), ["CloudWatchMetrics", "Timestamp"]);
    assert!(aws["Timestamp"].as_i64().unwrap() > 0);
    for directive in aws["CloudWatchMetrics"].as_array().unwrap() {
        assert_eq!(directive.as_object().unwrap().keys().collect::<Vec<_>>(), ["Dimensions", "Metrics", "Namespace"]);
        assert!((1..=1024).contains(&directive["Namespace"].as_str().unwrap().len()));
        let dimensions = directive["Dimensions"].as_array().unwrap();
        assert!(!dimensions.is_empty());
        for set in dimensions {
            let set = set.as_array().unwrap();
            assert!(set.len() <= 30);
            for name in set {
                assert!((1..=1024).contains(&root[name.as_str().unwrap()].as_str().unwrap().len()), "{name}");
            }
        }
        let metrics = directive["Metrics"].as_array().unwrap();
        assert!((1..=100).contains(&metrics.len()));
        for metric in metrics {
            assert_eq!(metric.as_object().unwrap().keys().collect::<Vec<_>>(), ["Name", "Unit"]);
            assert!(["Count", "Seconds"].contains(&metric["Unit"].as_str().unwrap()), "{metric}");
            let told = &root[metric["Name"].as_str().unwrap()];
            let values = told.as_array().map_or(std::slice::from_ref(told), Vec::as_slice);
            assert!((1..=100).contains(&values.len()) && values.iter().all(Value::is_number), "{metric}");
        }
    }
}

fn names(document: &Value) -> Vec<&str> {
    let metrics = document["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
    metrics.iter().map(|metric| metric["Name"].as_str().unwrap()).collect()
}

#[test]
fn a_full_run_has_every_metric_once() {
    let tally = full();
    let documents = documents(&run(&tally, 2));
    documents.iter().for_each(conforms);
    let [numbers, first, second] = documents.try_into().unwrap();
    let mut told = names(&numbers);
    let mut all: Vec<&str> = METRICS.iter().map(|(name, _)| *name).collect();
    told.sort_unstable();
    all.sort_unstable();
    assert_eq!(told, all);
    assert_eq!(
        (&numbers["records"], &numbers["quarantined"], &numbers["skipped"]),
        (&39.into(), &3.into(), &10.into())
    );
    assert_eq!((&numbers["upstream_seconds"], &numbers["batch_records"]), (&json!([0.0, 0.125]), &json!([0, 1])));
    assert_eq!((&numbers["upstream_errors"], &numbers["oldest_seconds"]), (&11.into(), &60.into()));
    for (document, reason, records) in [(first, "malformed", 1), (second, "invalid_bytes", 2)] {
        assert_eq!((names(&document), &document["reason"]), (vec!["quarantined"], &reason.into()));
        assert_eq!(document["quarantined"], records);
    }
}

#[test]
fn more_requests_than_a_document_holds_make_more_documents() {
    let tally = Tally::default();
    let documents = documents(&run(&tally, 250));
    documents.iter().for_each(conforms);
    let values = |document: &Value| document["batch_records"].as_array().unwrap().len();
    assert_eq!(documents.iter().map(values).collect::<Vec<_>>(), [100, 100, 50]);
    assert_eq!(documents.iter().filter(|document| document.get("records").is_some()).count(), 1);
}

#[test]
fn nothing_is_told_by_its_records_alone() {
    let (tally, requests) = (Tally::default(), Requests::default());
    let at = Timestamp::from_millisecond(1_764_150_000_500).unwrap();
    let ahead = Some(at.as_millisecond() + 5000);
    let run = Run { function: "receiver", at, tally: &tally, requests, oldest_sent_ms: ahead };
    let [document] = documents(&run).try_into().unwrap();
    conforms(&document);
    assert_eq!(names(&document), ["records", "oldest_seconds"]);
    assert_eq!((&document["records"], &document["oldest_seconds"]), (&0.into(), &0.into()));
}
