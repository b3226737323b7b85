use std::io::{self, Read};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::event::{Operation, Presigned, Value};

const USER: &str = "0b5f1c2a-6c1e-4b7e-9c55-1d5e2f3a4b6c";
const COLLECTION: &str = "2d6c7e90-11aa-4f0b-8a55-6f7e8d9c0b1a";

fn entry(number: u64) -> Json {
    json!({
        "version": "1", "deploymentid": "d-1", "time": "2026-07-14T04:42:23.260863964Z", "event": "", "trigger": "incoming",
        "api": {"name": "GetObject", "bucket": "stac", "object": "a/b c.tif", "status": "OK", "statusCode": 200, "rx": 0, "tx": 12345},
        "remotehost": "[2001:db8::1]", "requestID": format!("18C2{number}"), "requestPath": "/stac/a/b c.tif",
        "requestQuery": {"X-Amz-Credential": "signer/x", "X-Amz-Signature": "5ecre7", "userId": USER, "collectionId": COLLECTION,
            "itemId": "item"},
        "requestHeader": {"user-agent": "curl/8", "Authorization": "5ecre7"}, "responseHeader": {}, "tags": {}, "accessKey": "signer"
    })
}

type Change = fn(&mut Json);

fn changed(change: impl FnOnce(&mut Json)) -> String {
    let mut entry = entry(1);
    change(&mut entry);
    entry.to_string()
}

fn reading(body: impl AsRef<[u8]>) -> Reading {
    read_for(body.as_ref(), &"request:r".into(), &MeteringPolicy::default(), true)
}

/// `downloads reasons…`, each with its number.
fn told(body: impl AsRef<[u8]>) -> String {
    let reading = reading(body);
    let skipped: u64 = reading.skipped.values().sum();
    let downloads = u64::try_from(reading.downloads.len()).unwrap();
    assert_eq!(reading.records, downloads + skipped + u64::try_from(reading.quarantined.len()).unwrap());
    let mut told: Vec<(u64, String)> =
        reading.downloads.iter().map(|own| (own.number, format!("#{}", own.number))).collect();
    told.extend(reading.quarantined.iter().map(|own| (own.number, format!("#{} {}", own.number, own.reason.name()))));
    told.sort();
    let mut told: Vec<String> = told.into_iter().map(|(_, text)| text).collect();
    told.extend(reading.skipped.iter().map(|(reason, count)| format!("{count} {}", reason.name())));
    told.join(", ")
}

#[test]
fn a_presigned_download_is_read() {
    let reading = reading(entry(1).to_string());
    let [download] = &reading.downloads[..] else { panic!("{reading:?}") };
    assert_eq!(
        download.record.to_string(),
        format!("{USER}|{COLLECTION}|item|2026-07-14T04:42:23.260863964Z|12345|minio")
    );
    assert_eq!((download.identity.as_str(), download.source().as_str()), ("d-1/18C21/stac/a/b c.tif", "request:r#1"));
}

#[test]
fn who_read_what_is_told() {
    let raw = entry(1).to_string();
    let visit = event(raw.as_bytes(), &crate::event::IdParams::default()).unwrap().visit;
    assert_eq!(visit.bucket.as_deref(), Some("stac"));
    assert_eq!(visit.key.as_deref(), Some("a/b c.tif"));
    assert_eq!(visit.client_address.as_deref(), Some("2001:db8::1"));
    assert_eq!(visit.user_agent.as_deref(), Some("curl/8"));
    assert_eq!(visit.access_key.as_deref(), Some("signer"));
}

#[test]
fn entries_come_alone_concatenated_and_in_arrays() {
    let [a, b] = [entry(1).to_string(), entry(2).to_string()];
    let pretty = serde_json::to_string_pretty(&entry(2)).unwrap();
    for body in [
        format!("{a}\n{b}\n"),
        format!("{a}{b}"),
        format!("\u{feff}{a}\r\n\r\n{b}"),
        format!("[{a},{b}]"),
        format!(" [ {a} ,\n{pretty} ]\n"),
        format!("[{a}][{b}][]"),
        format!("[{a}]{pretty}"),
    ] {
        assert_eq!(told(&body), "#1, #2", "{body}");
    }
}

#[test]
fn probes_are_no_records() {
    for body in ["", " \r\n\t", "{}", "{ }\n", "\u{feff}{}", "[]"] {
        assert_eq!((told(body), reading(body).probes), (String::new(), 1), "{body:?}");
    }
    assert_eq!((told("{}{}"), reading("{}{}").probes), ("2 not_presigned_get".into(), 0));
}

#[test]
fn after_something_malformed_reading_resumes_at_the_newline_after_its_start() {
    let [a, b] = [entry(1).to_string(), entry(2).to_string()];
    let torn = a.get(..a.len() - 5).unwrap();
    for (body, expected) in [
        (format!("{torn}\n{b}"), "#1 malformed, #2"),
        (format!("{torn}{b}\n{b}"), "#1 malformed, #2"),
        (format!("{a}\n{torn}"), "#1, #2 malformed"),
        (format!("{a} garbage\n{b}"), "#1, #2 malformed, #3"),
        (format!("5\n\"x\"\nnull\n{b}"), "#1 malformed, #2 malformed, #3 malformed, #4"),
        (format!("{{\"a\":\n{b}\n{a}"), "#1 malformed, #2, #3"),
        (format!("[{a},5,{b},[]]"), "#1, #2 malformed, #3, #4 malformed"),
        (format!("[{a},{torn},\n{b}]"), "#1, #2 malformed, #3"),
        (format!("[{a},{torn},{a}]\n{b}\n"), "#1, #2 malformed, #3"),
        (format!("[{a},\n{torn},\n{b}\n]\n{a}"), "#1, #2 malformed, #3, #4"),
        (format!("[{a},{b}"), "#1, #2, #3 malformed"),
        (format!("[{a},]"), "#1, #2 malformed"),
        (format!("{a},{b}"), "#1, #2 malformed"),
    ] {
        assert_eq!(told(&body), expected, "{body}");
    }
    let reading = reading(format!("{torn}\n{b}"));
    assert!(reading.quarantined[0].record.contains("18C21"));
    assert!(!format!("{:?}", reading.quarantined).contains("5ecre7"));
}

#[test]
fn much_rubbish_is_quarantined_a_little_at_a_time() {
    let body = format!("{}{}\n{}", "x\n".repeat(4500), entry(1), "y\n".repeat(300));
    let reading = reading(&body);
    assert_eq!((reading.records, reading.downloads.len()), (4801, 1));
    let mut kept = vec![reading.quarantined];
    let after = reading.more_after.unwrap();
    let origin: Arc<str> = "request:r".into();
    quarantined_after(body.as_bytes(), &origin, &MeteringPolicy::default(), after, |some| {
        kept.push(some);
        true
    });
    assert!(kept.len() == 3 && kept.iter().all(|some| some.len() <= 2000));
    let numbers: Vec<u64> = kept.concat().iter().map(|record| record.number).collect();
    assert_eq!(numbers, (1..=4500).chain(4502..=4801).collect::<Vec<_>>());

    let large = format!("[{}]\n", "z".repeat(60 << 10)).repeat(100);
    let reading = super::read_for(large.as_bytes(), &origin, &MeteringPolicy::default(), false);
    assert!(reading.quarantined.len() < 50 && reading.more_after.is_some(), "{}", reading.quarantined.len());
}

#[test]
fn each_test_has_its_reason() {
    let cases: [(&str, Change); 35] = [
        ("1 not_incoming", |e| e["trigger"] = "internal".into()),
        ("1 not_incoming", |e| e["trigger"] = 5.into()),
        ("#1", |e| e["trigger"] = Json::Null),
        ("1 not_presigned_get", |e| e["api"]["name"] = "SelectObject".into()),
        ("1 not_presigned_get", |e| e["api"] = "GetObject".into()),
        ("1 not_presigned_get", |e| e["requestQuery"] = Json::Null),
        ("1 not_presigned_get", |e| e["requestQuery"]["X-Amz-Signature"] = " ".into()),
        ("1 not_presigned_get", |e| {
            e["requestQuery"]["X-Amz-Signature"].take();
            e["requestQuery"]["x-amz-signature"] = "abc".into();
        }),
        ("1 unsigned_ids", |e| {
            e["requestQuery"]["X-Amz-Signature"].take();
            e["requestQuery"]["Signature"] = "abc".into();
        }),
        ("1 unsigned_ids", |e| e["requestQuery"]["AWSAccessKeyId"] = "signer".into()),
        ("1 unsigned_ids", |e| {
            e["requestQuery"]["X-Amz-Credential"].take();
            e["accessKey"].take();
        }),
        ("#1", |e| drop(e["requestQuery"]["X-Amz-Credential"].take())),
        // Releases before 2023 tell no key, of anybody.
        ("#1", |e| {
            e["requestQuery"]["X-Amz-Credential"].take();
            e["accessKey"].take();
            e["requestPath"].take();
        }),
        ("1 failed_request", |e| e["api"]["statusCode"] = 304.into()),
        ("1 failed_request", |e| e["api"]["statusCode"] = "200".into()),
        ("1 failed_request", |e| e["api"]["statusCode"] = Json::Null),
        ("#1", |e| e["api"]["statusCode"] = 206.into()),
        ("#1", |e| e["api"]["statusCode"] = 200.0.into()),
        ("1 no_ids", |e| e["requestQuery"] = json!({"X-Amz-Signature": "a", "userId": USER})),
        ("#1 incomplete_ids", |e| e["requestQuery"]["itemId"] = "".into()),
        ("#1 conflicting_ids", |e| e["requestQuery"]["X-ITEMID"] = "other".into()),
        ("1 no_user", |e| e["requestQuery"]["userId"] = Json::Null),
        ("#1 invalid_user_id", |e| e["requestQuery"]["userId"] = format!("{USER},{USER}").into()),
        ("#1 invalid_collection_id", |e| e["requestQuery"]["collectionId"] = json!([COLLECTION])),
        ("#1 invalid_item_id", |e| e["requestQuery"]["itemId"] = 7.into()),
        ("#1 invalid_bytes", |e| e["api"]["tx"] = (-1).into()),
        ("#1 invalid_bytes", |e| e["api"]["tx"] = "12345".into()),
        ("#1 invalid_bytes", |e| e["api"]["tx"] = Json::Null),
        ("#1 invalid_time", |e| e["time"] = 1_752_468_143_i64.into()),
        ("#1 no_identity", |e| e["deploymentid"] = Json::Null),
        ("#1 no_identity", |e| e["requestID"] = 5.into()),
        ("#1 no_identity", |e| e["api"]["bucket"] = "".into()),
        ("#1 no_identity", |e| e["api"]["object"] = Json::Null),
        ("#1", |e| e["requestQuery"]["itemId"] = "a,b".into()),
        ("1 notification", |e| {
            *e = json!({"EventName": "s3:ObjectAccessed:Get", "Key": "b/k", "Records": [{"api": {}}]});
        }),
    ];
    for (expected, change) in cases {
        let body = changed(change);
        assert_eq!(told(&body), expected, "{body}");
    }
}

#[test]
fn odd_text_matters_only_where_it_is_read() {
    let good = entry(1).to_string();
    let with = |from: &str, to: &[u8]| {
        let (before, after) = good.split_once(from).unwrap();
        told([before.as_bytes(), to, after.as_bytes()].concat())
    };
    assert_eq!(with("curl/8", b"\xff"), "#1");
    assert_eq!(with("\"item\"", b"\"\xff\""), "#1 malformed");
    assert_eq!(with("\"item\"", br#""\ud800""#), "#1 invalid_item_id");
    assert_eq!(with("\"18C21\"", b"\"\xff\""), "#1 malformed");
    assert_eq!(with("\"18C21\"", br#""\ud800""#), "#1");
    assert_eq!(with("\"tags\":{}", format!("\"tags\":{}1{}", "[".repeat(9999), "]".repeat(9999)).as_bytes()), "#1");
    assert_eq!(with("\"tags\":{}", br#""tags":1e9999,"time":"2026-07-14T04:42:23Z""#), "#1");
    // Of duplicate keys the last wins, whole.
    assert_eq!(with("\"tags\":{}", br#""requestQuery":{}"#), "1 not_presigned_get");
    assert_eq!(
        with("\"tags\":{}", br#""\u0072equestQuery":{"X-Amz-Signature":"a","itemId":"i"}"#),
        "#1 incomplete_ids"
    );
    // What is no candidate is not looked at.
    assert_eq!(told(good.replace("GetObject", "PutObject").replace("18C21", "\\ud800")), "1 not_presigned_get");
}

#[test]
fn identities_cannot_be_made_to_collide() {
    let identity = |deployment: &str, request: &str, object: &str| {
        let body = changed(|entry| {
            entry["deploymentid"] = deployment.into();
            entry["requestID"] = request.into();
            entry["api"]["object"] = object.into();
        });
        reading(body).downloads[0].identity.clone()
    };
    assert_ne!(identity("a/b", "c", "o"), identity("a", "b/c", "o"));
    assert_ne!(identity("a%2Fb", "c", "o"), identity("a/b", "c", "o"));
    assert_ne!(identity("a", "b", "stac/o"), identity("a", "b/stac", "o"));
}

#[test]
fn notifications_tell_the_read_and_its_audit_entrys_identity() {
    let body = json!({"EventName": "s3:ObjectAccessed:Get", "Key": "stac/a/b c.tif", "Records": [{
        "eventTime": "2026-07-14T04:42:23.260Z", "userIdentity": {"principalId": "signer"},
        "requestParameters": {"sourceIPAddress": "203.0.113.7"},
        "responseElements": {"x-amz-request-id": "18C21", "x-minio-deployment-id": "d-1"},
        "s3": {"bucket": {"name": "stac"}, "object": {"key": "a%2Fb+c.tif"}}, "source": {"userAgent": "curl/8"}}]})
    .to_string();
    let event = event(body.as_bytes(), &crate::event::IdParams::default()).unwrap();
    assert_eq!(
        (event.operation, event.presigned, event.bytes),
        (Operation::Notification, Presigned::No, Value::Absent)
    );
    assert_eq!(event.identity, Some(reading(entry(1).to_string()).downloads[0].identity.clone()));
    assert_eq!(event.visit.key.as_deref(), Some("a/b c.tif"));
    assert_eq!(event.visit.client_address.as_deref(), Some("203.0.113.7"));
}

/// Gives its bytes in small pieces.
struct Drip<'a>(&'a [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.1.min(into.len()).min(self.0.len());
        let (now, later) = self.0.split_at(len);
        into[..len].copy_from_slice(now);
        self.0 = later;
        Ok(len)
    }
}

type Found = Vec<Result<Vec<u8>, Vec<u8>>>;

fn all(mut entries: Entries<impl Read>) -> Found {
    let mut found = Vec::new();
    while let Some(entry) = entries.next().unwrap() {
        found.push(entry.json.map(<[u8]>::to_vec).map_err(|(_, text)| text.to_vec()));
    }
    found
}

#[test]
fn memory_does_not_grow_with_the_file() {
    let line = format!("{}\n", entry(1));
    let lines = line.repeat(20_000);
    let mut entries = entries(lines.as_bytes());
    let mut count = 0;
    while entries.next().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 20_000);
    assert!(entries.capacity() < 1 << 20, "{}", entries.capacity());
}

#[test]
fn an_entry_that_is_too_long_is_malformed_and_the_next_line_counts() {
    let body = format!("{{\"a\":\"{}\"}}\n{{\"b\":1}}", "x".repeat(300_000));
    let found = all(Entries::new(body.as_bytes(), 100_000));
    assert_eq!(found.len(), 2);
    assert!(found[0].is_err());
    assert_eq!(found[1], Ok(b"{\"b\":1}".to_vec()));
}

#[test]
fn lines_that_open_what_none_closes_cost_no_more_than_their_length() {
    let started = std::time::Instant::now();
    let mut body = "{\"a\":[\n".repeat(500_000);
    body.push_str("{\"b\":1}");
    let found = all(Entries::new(body.as_bytes(), body.len()));
    assert_eq!(found.len(), 500_001);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

proptest! {
    #[test]
    fn any_bytes_are_read_and_add_up(body in prop::collection::vec(any::<u8>(), 0..200)) {
        told(body);
    }

    #[test]
    fn pieces_do_not_matter(
        body in r#"([\[\]{},:" \\\n]|\{"a":"[b\\u0]{0,8}"\}|"a":|"[a-z\\u0]*"|-?[0-9.eE]{1,4}|tru|true|null|\n){0,40}"#, piece in 1_usize..9,
    ) {
        let whole = all(Entries::new(body.as_bytes(), 1 << 20));
        let text: usize = whole.iter().map(|found| found.as_ref().map_or_else(Vec::len, Vec::len)).sum();
        prop_assert!(text <= body.len());
        prop_assert_eq!(all(Entries::new(Drip(body.as_bytes(), piece), 1 << 20)), whole);
    }

    #[test]
    fn good_neighbours_of_malformed_lines_all_count(lines in prop::collection::vec(prop::option::of("[^{\\[\\n]*[a-z{][^\\n]*"), 0..12)) {
        let body: String = lines.iter().map(|line| match line {
            Some(junk) => format!("!{junk}\n"),
            None => format!("{}\n", entry(1)),
        }).collect();
        let good = lines.iter().filter(|line| line.is_none()).count();
        let reading = reading(&body);
        prop_assert_eq!(reading.downloads.len(), good);
        prop_assert_eq!(reading.quarantined.len(), lines.len() - good);
    }
}

#[test]
fn rustfs_s_envelopes_tell_who_read_what() {
    let envelope = |status: u64, name: &str| {
        json!({"EventName": "s3:ObjectAccessed:Get", "Key": "stac/a", "Records": [{
            "deployment_id": "d-1", "requestID": "r-1", "time": 1_761_559_950_250_i64, "remotehost": "[2001:db8::1]",
            "userAgent": "curl/8", "requestQuery": {"authorization": "5ecre7"},
            "api": {"name": name, "bucket": "stac", "object": "a+b/c.tif", "status_code": status},
        }]})
        .to_string()
    };
    let reading = reading(envelope(206, "s3:GetObject"));
    let [read] = &reading.reads[..] else { panic!("{reading:?}") };
    assert_eq!((read.bucket.as_str(), read.key.as_str(), read.bytes), ("stac", "a+b/c.tif", None));
    assert_eq!((read.client_address.as_deref(), read.user_agent.as_deref()), (Some("2001:db8::1"), Some("curl/8")));
    assert_eq!(read.timestamp().map(jiff::Timestamp::as_second), Some(1_761_559_950));
    assert_eq!(read.identity.as_deref(), Some("d-1/r-1/stac/a+b/c.tif"));
    assert_eq!(told(envelope(200, "s3:GetObject")), "1 notification");
    assert_eq!(super::tests::reading(envelope(404, "s3:GetObject")).reads, []);
    assert_eq!(super::tests::reading(envelope(200, "s3:HeadObject")).reads, []);
}

#[test]
fn a_read_that_nobody_signed_is_for_the_dashboard() {
    let reading = reading(changed(|entry| entry["requestQuery"] = json!({})));
    assert_eq!((reading.downloads.len(), reading.reads.len()), (0, 1));
    assert_eq!((reading.reads[0].bytes, reading.reads[0].timestamp().is_some()), (Some(12345), true));
    let entry = entry(1).to_string();
    assert_eq!(read(entry.as_bytes(), &"request:r".into(), &MeteringPolicy::default()).reads, []);
}
