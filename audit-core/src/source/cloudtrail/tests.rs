use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::found::Item;
use super::*;

/// The counts of a file by name, and its downloads as lines.
#[derive(Debug, PartialEq, Eq, Default)]
struct Outcome {
    records: u64,
    counts: BTreeMap<&'static str, u64>,
    lines: Vec<String>,
}

fn small() -> ReadLimits {
    ReadLimits { buffer_bytes: 128, max_record_bytes: 8 << 20, found_memory_bytes: 0, ..ReadLimits::default() }
}

fn outcome(log: LogFile) -> Outcome {
    let mut counts: BTreeMap<&'static str, u64> =
        log.skipped.iter().map(|(reason, count)| (reason.name(), *count)).collect();
    let mut lines = Vec::new();
    for item in log.found {
        match item.unwrap() {
            Item::Download(download) => lines.push(format!("{} {}", download.source(), download.record)),
            Item::Quarantined(record) => {
                // Half a surrogate pair may stand in it, which is JSON but no text.
                serde_json::from_str::<serde::de::IgnoredAny>(&record.record).unwrap();
                *counts.entry(record.reason.name()).or_default() += 1;
            }
            Item::Read(_) => panic!("nobody asked for reads"),
        }
    }
    assert_eq!(log.records, counts.values().sum::<u64>() + lines.len() as u64);
    Outcome { records: log.records, counts, lines }
}

fn try_read(text: &[u8], limits: &ReadLimits) -> Result<Outcome, String> {
    read(text, &"s3://b/k".into(), &MeteringPolicy::default(), limits)
        .map(|log| log.map(outcome).unwrap_or_default())
        .map_err(|error| error.to_string())
}

fn counts(text: &str) -> Vec<(&'static str, u64)> {
    let outcome = try_read(text.as_bytes(), &small()).unwrap();
    assert_eq!(Ok(&outcome), try_read(text.as_bytes(), &ReadLimits::default()).as_ref());
    let downloads = outcome.lines.len() as u64;
    outcome.counts.into_iter().chain((downloads > 0).then_some(("downloads", downloads))).collect()
}

fn download() -> Value {
    json!({
        "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "eventCategory": "Data", "managementEvent": false,
        "eventTime": "2025-10-27T10:12:30Z", "eventID": "event-1",
        "requestParameters": {
            "X-Amz-Expires": "300", "bucketName": "b", "key": "k",
            "userId": "0b5f1c2a-6c1e-4b7e-9c55-1d5e2f3a4b6c",
            "collectionId": "2d6c7e90-11aa-4f0b-8a55-6f7e8d9c0b1a",
            "itemId": "S2A",
        },
        "additionalEventData": {"AuthenticationMethod": "QueryString", "bytesTransferredOut": 12345},
    })
}

fn changed(pointer: &str, key: &str, value: Value) -> String {
    let mut record = download();
    record.pointer_mut(pointer).unwrap()[key] = value;
    file(&[&record.to_string()])
}

fn file(records: &[&str]) -> String {
    format!("{{\"Records\":[{}]}}", records.join(","))
}

#[test]
fn each_test_of_the_table_has_its_reason() {
    let (top, request, data, missing) = ("", "/requestParameters", "/additionalEventData", Value::Null);
    let big: Value = serde_json::from_str("2e2").unwrap();
    let cases = [
        ("downloads", changed(top, "eventCategory", missing.clone())),
        ("downloads", changed(top, "managementEvent", json!("true"))),
        ("downloads", changed(top, "errorCode", json!(" "))),
        ("downloads", changed(data, "httpStatusCode", json!(206.0))),
        ("downloads", changed(data, "httpStatusCode", big)),
        ("downloads", changed(data, "bytesTransferredOut", json!(2356.0))),
        ("downloads", changed(request, "X-USERID", json!("0B5F1C2A-6C1E-4B7E-9C55-1D5E2F3A4B6C"))),
        ("downloads", changed(top, "sharedEventID", json!(7))),
        ("downloads", changed(top, "addendum", json!({"reason": "DELIVERY_DELAY"}))),
        ("not_presigned_get", changed(top, "eventSource", json!("s3-outposts.amazonaws.com"))),
        ("not_presigned_get", changed(top, "eventName", json!("GetObjectTagging"))),
        ("not_presigned_get", changed(top, "eventCategory", json!("Aggregated"))),
        ("not_presigned_get", changed(top, "eventCategory", json!(1))),
        ("not_presigned_get", changed(top, "managementEvent", json!(true))),
        ("not_presigned_get", changed(data, "AuthenticationMethod", json!("AuthHeader"))),
        ("not_presigned_get", changed(request, "X-Amz-Expires", missing.clone())),
        ("not_presigned_get", changed(top, "requestParameters", missing.clone())),
        ("not_presigned_get", changed(top, "requestParameters", json!(["X-Amz-Expires"]))),
        ("failed_request", changed(top, "errorCode", json!("AccessDenied"))),
        ("failed_request", changed(top, "errorCode", json!(0))),
        ("failed_request", changed(data, "httpStatusCode", json!("200"))),
        ("failed_request", changed(data, "httpStatusCode", json!(304))),
        ("conflicting_ids", changed(request, "x-itemId", json!("S2B"))),
        ("incomplete_ids", changed(request, "itemId", json!(""))),
        ("no_user", changed(request, "userId", missing.clone())),
        ("invalid_user_id", changed(request, "userId", json!(["0b5f1c2a-6c1e-4b7e-9c55-1d5e2f3a4b6c"]))),
        ("invalid_collection_id", changed(request, "collectionId", json!("c"))),
        ("invalid_item_id", changed(request, "itemId", json!("a|b"))),
        ("invalid_bytes", changed(data, "bytesTransferredOut", json!(0.5))),
        ("invalid_bytes", changed(data, "bytesTransferredOut", missing.clone())),
        ("invalid_time", changed(top, "eventTime", json!("2025-10-27T10:12:30"))),
        ("updated_data", changed(top, "addendum", json!({"reason": "UPDATED_DATA"}))),
        ("no_identity", changed(top, "eventID", missing)),
        ("malformed", file(&["7"])),
        ("malformed", file(&["null"])),
        ("malformed", file(&["tru"])),
        ("malformed", file(&["\"}\\\"]\""])),
        ("malformed", file(&["[{}]"])),
    ];
    for (reason, text) in cases {
        assert_eq!(counts(&text), [(reason, 1)], "{text}");
    }
    let mut sigv2 = download();
    sigv2["requestParameters"]["Expires"] = sigv2["requestParameters"]["X-Amz-Expires"].take();
    assert_eq!(counts(&file(&[&sigv2.to_string()])), [("unsigned_ids", 1)]);
}

#[test]
fn of_duplicate_keys_the_last_wins() {
    let text = download().to_string();
    let with = |last: &str| file(&[&format!("{},{last}}}", text.strip_suffix('}').unwrap())]);
    assert_eq!(counts(&with(r#""eventName":"PutObject""#)), [("not_presigned_get", 1)]);
    assert_eq!(counts(&with(r#""requestParameters":null"#)), [("not_presigned_get", 1)]);
    assert_eq!(counts(&with(r#""requestParameters":{"X-Amz-Expires":"1"}"#)), [("no_ids", 1)]);
    assert_eq!(
        counts(&with(r#""additionalEventData":{"AuthenticationMethod":"QueryString"}"#)),
        [("invalid_bytes", 1)]
    );
    assert_eq!(counts(&file(&[&text.replacen('{', r#"{"eventName":"PutObject","#, 1)])), [("downloads", 1)]);
}

#[test]
fn escaped_names_are_seen() {
    let text = download().to_string();
    for (plain, escaped) in [
        ("\"GetObject\"", "\"Get\\u004fbject\""),
        ("\"eventName\"", "\"event\\u004eame\""),
        ("QueryString", "\\u0051ueryString"),
        ("itemId", "item\\u0049d"),
    ] {
        let text = text.replace(plain, escaped);
        assert!(text.contains('\\'));
        assert_eq!(counts(&file(&[&text])), [("downloads", 1)], "{escaped}");
    }
    assert_eq!(counts(&file(&[&text.replace("\"S2A\"", "\"\\ud800\"")])), [("invalid_item_id", 1)]);
}

#[test]
fn records_are_those_of_the_top_level_array_only() {
    let text = download().to_string();
    let decoy = format!(
        r#"{{"a":{{"Records":[{text}]}},"Records":[{{"Records":[{text},{{}}]}},{text}],"z":"]}}{{","n":[1e999,-0.0]}}"#
    );
    assert_eq!(counts(&decoy), [("not_presigned_get", 1), ("downloads", 1)]);
    assert_eq!(counts(r#" { "Rec\u006frds" : [ ] } "#), []);
    assert_eq!(
        counts("{\"x\":\"\\ud800\",\"Records\":[{\"a\":\"}\\\\\"},{\"b\":\"\\\"{\"} ,\n{}]}"),
        [("not_presigned_get", 3)]
    );
    assert_eq!(counts("\u{feff}{\"Records\":[]}"), []);
}

#[test]
fn files_that_are_not_good_to_their_end_fail() {
    for (text, message) in [
        ("{}", "byte 2 of the text: before any record: no `Records` in the object"),
        ("[]", "byte 0 of the text: before any record: expected an object with `Records`"),
        (" ", "byte 1 of the text: before any record: expected an object with `Records`"),
        ("{\"Records\":null}", "byte 11 of the text: before any record: expected an array as `Records`"),
        ("{\"Records\":{}}", "byte 11 of the text: before any record: expected an array as `Records`"),
        ("{\"Records\":[],\"Records\":[]}", "byte 24 of the text: before any record: `Records` for the second time"),
        ("{\"Records\":[{}],}", "byte 16 of the text: after record 1: expected a key"),
        ("{\"Records\":[{},]}", "byte 15 of the text: after record 1: expected a record"),
        ("{\"Records\":[,{}]}", "byte 12 of the text: before any record: expected a record"),
        ("{\"Records\":[{} {}]}", "byte 15 of the text: after record 1: expected a comma or the end of `Records`"),
        ("{\"Records\":[{}]}x", "byte 16 of the text: after record 1: expected nothing after the object"),
        ("{\"Records\":[{}]", "byte 15 of the text: after record 1: expected a comma or the end of the object"),
        ("{\"Records\":[{}", "byte 14 of the text: after record 1: expected a comma or the end of `Records`"),
        ("{\"Records\":[{\"a\":\"}]}", "byte 21 of the text: before any record: the text is cut off"),
        ("{\"Records\":[{\"a\":[}]}", "byte 18 of the text: before any record: brackets do not match; expected `]`"),
        ("{\"Records\":[{]]}", "byte 13 of the text: before any record: brackets do not match; expected `}`"),
        ("{\"a\":tru,\"Records\":[]}", "byte 5 of the text: before any record: expected true, false or null"),
        ("{\"a\":{1:2},\"Records\":[]}", "byte 6 of the text: before any record: expected a string"),
        ("{\"a\" 1,\"Records\":[]}", "byte 5 of the text: before any record: expected a colon after the key"),
    ] {
        for limits in [small(), ReadLimits::default()] {
            assert_eq!(try_read(text.as_bytes(), &limits).unwrap_err(), message, "{text}");
        }
    }
}

#[test]
fn a_record_that_is_not_json_inside_is_malformed_if_it_looks_like_a_download() {
    let text = download().to_string();
    let other = text.replace("\"GetObject\"", "\"PutObject\"");
    for (from, to) in [
        ("12345", "12345,"),
        ("12345", "0123"),
        ("\"event-1\"", "tru"),
        ("\"event-1\"", "\"\\x\""),
        ("\"event-1\"", "\"a\nb\""),
        ("\"eventID\":", "\"eventID\""),
        ("\"eventID\":\"event-1\",", ","),
    ] {
        for (record, reason) in [(&text, "malformed"), (&other, "not_presigned_get")] {
            let broken = record.replacen(from, to, 1);
            assert!(broken != *record && serde_json::from_str::<Value>(&broken).is_err(), "{broken}");
            let expected: Vec<_> = BTreeMap::from([(reason, 1)]).into_iter().chain([("downloads", 1)]).collect();
            assert_eq!(counts(&file(&[&broken, &text])), expected, "{broken}");
        }
    }
}

#[test]
fn text_that_is_not_utf8_matters_only_where_it_is_read() {
    let bytes = |from: &str| {
        let text = file(&[&download().to_string().replacen(from, "\u{1}", 1)]);
        text.into_bytes().into_iter().map(|byte| if byte == 1 { 0xff } else { byte }).collect::<Vec<u8>>()
    };
    for (from, reason) in [("S2A", "malformed"), ("event-1", "malformed"), ("s3.amazonaws", "not_presigned_get")] {
        let outcome = try_read(&bytes(from), &small()).unwrap();
        assert_eq!(outcome.counts, BTreeMap::from([(reason, 1)]), "{from}");
    }
    assert_eq!(try_read(&bytes("bucketName"), &small()).unwrap().lines.len(), 1);
}

#[test]
fn records_larger_than_the_buffer_are_read_and_larger_than_the_cap_passed_over() {
    let mut large = download();
    large["pad"] = json!("{\"".repeat(2000));
    let large = large.to_string();
    let text = file(&[&large, &download().to_string()]);
    assert_eq!(counts(&text), [("downloads", 2)]);
    let capped = ReadLimits { max_record_bytes: 2048, ..small() };
    let outcome = try_read(text.as_bytes(), &capped).unwrap();
    assert_eq!((outcome.counts, outcome.lines.len()), (BTreeMap::from([("malformed", 1)]), 1));
    let plain = format!(r#"{{"eventName":"PutObject","pad":"{}","m":"QueryString"}}"#, "x".repeat(5000));
    let outcome = try_read(file(&[&plain, &download().to_string()]).as_bytes(), &capped).unwrap();
    assert_eq!((outcome.counts, outcome.lines.len()), (BTreeMap::from([("not_presigned_get", 1)]), 1));
}

#[test]
fn depth_costs_no_stack() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(500_000), "]".repeat(500_000));
    let text = download().to_string();
    let deep_download = format!("{},{}", text.strip_suffix('}').unwrap(), deep.strip_prefix('{').unwrap());
    assert_eq!(counts(&file(&[&deep, &deep_download])), [("not_presigned_get", 1), ("downloads", 1)]);
}

#[test]
fn a_single_record_is_read_like_one_of_a_file() {
    let policy = MeteringPolicy::default();
    let log = read_record(download().to_string().as_bytes(), &"request:1".into(), &policy, &small()).unwrap();
    assert_eq!(outcome(log).lines.len(), 1);
    let log = read_record(b" [] ", &"request:1".into(), &policy, &small()).unwrap();
    assert_eq!(outcome(log).counts, BTreeMap::from([("malformed", 1)]));
}

/// What a full parser makes of a record of this test's own kind.
fn oracle(record: &Value) -> &'static str {
    let is = |pointer: &str, text: &str| record.pointer(pointer).and_then(Value::as_str) == Some(text);
    let there = |pointer: &str| record.pointer(pointer).is_some_and(|value| !value.is_null());
    if !record.is_object() {
        "malformed"
    } else if !is("/eventSource", "s3.amazonaws.com")
        || !is("/eventName", "GetObject")
        || there("/eventCategory") && !is("/eventCategory", "Data")
        || record["managementEvent"] == json!(true)
        || !is("/additionalEventData/AuthenticationMethod", "QueryString")
        || !there("/requestParameters/X-Amz-Expires")
    {
        "not_presigned_get"
    } else if there("/errorCode") {
        "failed_request"
    } else if !there("/requestParameters/itemId") && !there("/requestParameters/collectionId") {
        "no_ids"
    } else {
        "other"
    }
}

fn json_text() -> impl Strategy<Value = String> {
    // Each key and value of interest, plain or escaped, beside decoys.
    let word = prop::sample::select(vec![
        r#""eventSource":"s3.amazonaws.com""#,
        r#""eventName":"GetObject""#,
        r#""event\u004eame":"Get\u004fbject""#,
        r#""eventName":"PutObject""#,
        r#""eventCategory":"Data""#,
        r#""eventCategory":null"#,
        r#""managementEvent":true"#,
        r#""managementEvent":false"#,
        r#""errorCode":"x""#,
        r#""additionalEventData":{"AuthenticationMethod":"QueryString"}"#,
        r#""additionalEventData":{"a":"}","AuthenticationMethod":"Query\u0053tring"}"#,
        r#""additionalEventData":null"#,
        r#""requestParameters":{"X-Amz-Expires":"1"}"#,
        r#""requestParameters":{"X-Amz-Expires":"1","itemId":"i"}"#,
        r#""requestParameters":{"Key":"\\\"{[","X-Amz-Expires":"1","itemId":null}"#,
        r#""requestParameters":[[]]"#,
        r#""Records":[{"eventName":"GetObject"}]"#,
        r#""x":"\"QueryString\"""#,
        r#""y":{"eventName":"GetObject"}"#,
        r#""z":-0.0"#,
    ]);
    let base = r#""eventSource":"s3.amazonaws.com","eventName":"GetObject","additionalEventData":{"AuthenticationMethod":"QueryString"},"requestParameters":{"X-Amz-Expires":"1"}"#;
    (any::<bool>(), prop::collection::vec(word, 0..6)).prop_map(move |(whole, words)| {
        let members: Vec<&str> = whole.then_some(base).into_iter().chain(words).collect();
        format!("{{{}}}", members.join(", "))
    })
}

/// Gives pieces of the lengths asked for.
struct Pieces<'a>(&'a [u8], std::iter::Cycle<std::vec::IntoIter<usize>>);

impl Read for Pieces<'_> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let len = self.1.next().unwrap().min(piece.len());
        self.0.read(&mut piece[..len])
    }
}

proptest! {
    #[test]
    fn counts_agree_with_a_full_parser(records in prop::collection::vec(json_text(), 0..20), pieces in prop::collection::vec(1_usize..400, 1..4)) {
        let text = format!("{{\"Records\": [{}]}}", records.join(" ,"));
        let full: Value = serde_json::from_str(&text).unwrap();
        let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
        for record in full["Records"].as_array().unwrap() {
            *expected.entry(oracle(record)).or_default() += 1;
        }
        let input = Pieces(text.as_bytes(), pieces.into_iter().cycle());
        let log = read(input, &"f".into(), &MeteringPolicy::default(), &small()).unwrap().unwrap();
        let outcome = outcome(log);
        prop_assert_eq!(outcome.records, records.len() as u64);
        let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
        for (reason, count) in outcome.counts {
            let reason = if ["malformed", "not_presigned_get", "failed_request", "no_ids"].contains(&reason) { reason } else { "other" };
            *counted.entry(reason).or_default() += count;
        }
        prop_assert_eq!(counted, expected);
    }

    #[test]
    fn any_bytes_are_read_or_fail_cleanly(
        text in r#"(\{"Records":\[)?([\[\]{}:,"\\ x1]|\{"[a-z\\"]{0,9}":|"GetObject"|"QueryString"|\}\}?){0,60}(\]\})?"#,
        pieces in prop::collection::vec(1_usize..99, 1..4),
    ) {
        let whole = try_read(text.as_bytes(), &ReadLimits::default());
        let input = Pieces(text.as_bytes(), pieces.into_iter().cycle());
        let pieced = read(input, &"s3://b/k".into(), &MeteringPolicy::default(), &small());
        let pieced = pieced.map(|log| log.map(outcome).unwrap_or_default()).map_err(|error| error.to_string());
        prop_assert_eq!(&whole, &pieced);
        if serde_json::from_str::<Value>(&text).is_ok_and(|value| value["Records"].is_array()) {
            prop_assert!(whole.is_ok() || text.matches("Records").count() > 1);
        }
    }
}

fn reads(records: &[Value], limits: &ReadLimits) -> (Vec<crate::analytics::Read>, BTreeMap<SkipReason, u64>, u64, u64) {
    let text = json!({ "Records": records }).to_string();
    let log = read(text.as_bytes(), &"s3://b/k".into(), &MeteringPolicy::default(), limits).unwrap().unwrap();
    let (downloads, quarantined) = (log.found.downloads(), log.found.quarantined());
    let items = log.found.map(Result::unwrap);
    let reads = items.filter_map(|item| if let Item::Read(read) = item { Some(read) } else { None }).collect();
    (reads, log.skipped, downloads, quarantined)
}

#[test]
fn reads_are_found_when_asked_for_and_change_no_count() {
    let change = |pointer: &str, value: Value| {
        let mut record = download();
        *record.pointer_mut(pointer).unwrap() = value;
        record
    };
    let unsigned = {
        let mut record = download();
        record["additionalEventData"] = json!({"AuthenticationMethod": "AuthHeader", "bytesTransferredOut": 7});
        record["sourceIPAddress"] = json!("203.0.113.7");
        record["userAgent"] = json!("[GDAL/3.8.4]");
        record
    };
    let failed = change("/additionalEventData", json!({"AuthenticationMethod": "QueryString", "httpStatusCode": 403}));
    let records = [
        download(),
        unsigned,
        failed,
        change("/eventName", json!("HeadObject")),
        change("/requestParameters/userId", json!("nobody")),
        json!({"eventName": "GetObject", "large": "x".repeat(4000)}),
    ];
    for max_record_bytes in [8 << 20, 2000] {
        let without = ReadLimits { max_record_bytes, ..small() };
        let with = ReadLimits { visits: true, ..without };
        let (none, skipped, downloads, quarantined) = reads(&records, &without);
        let (all, skipped_too, downloads_too, quarantined_too) = reads(&records, &with);
        assert!(none.is_empty());
        assert_eq!((skipped, downloads, quarantined), (skipped_too, downloads_too, quarantined_too));
        assert_eq!(all.len(), 3);
        let read = &all[1];
        assert_eq!((read.bucket.as_str(), read.key.as_str(), read.bytes), ("b", "k", Some(7)));
        assert_eq!(
            (read.client_address.as_deref(), read.user_agent.as_deref()),
            (Some("203.0.113.7"), Some("[GDAL/3.8.4]"))
        );
    }
}
