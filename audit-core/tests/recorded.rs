//! What a real MinIO sent (`minio/`, recorded by `scripts/record-minio.sh`) and what RustFS sends (`rustfs/`), read as the
//! receiver reads it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, which fail by a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use audit_core::analytics::Read;
use audit_core::policy::MeteringPolicy;
use audit_core::redact;
use audit_core::source::minio::{Reading, read_for};
use serde_json::Value;

/// The ways in which the audit webhook sends.
const AUDIT: [&str; 3] = ["batch-1", "batch-100", "queue-dir"];

/// What must come of each case: its downloads and what else becomes of its entries, and how many reads the dashboard is
/// told of by the audit webhook, and by the bucket's notifications.
const EXPECTED: [(&str, &str, usize, usize); 25] = [
    ("aborted", "1 downloads", 1, 0),
    ("anonymous", "1 not_presigned_get", 1, 1),
    ("attributes", "1 not_presigned_get", 0, 0),
    ("direct", "1 downloads", 1, 1),
    ("expired", "1 failed_request", 0, 0),
    ("head", "1 not_presigned_get", 0, 0),
    ("item-unicode", "1 downloads", 1, 1),
    ("key-percent", "1 downloads", 1, 1),
    ("key-plus", "1 downloads", 1, 1),
    ("key-spaces", "1 downloads", 1, 1),
    ("key-unicode", "1 downloads", 1, 1),
    ("list", "1 not_presigned_get", 0, 0),
    ("missing", "1 failed_request", 0, 0),
    ("not-modified", "1 failed_request", 0, 0),
    ("not-satisfiable", "1 failed_request", 0, 0),
    ("parallel-parts", "8 downloads", 8, 8),
    ("put", "1 not_presigned_get", 0, 0),
    ("ranged", "1 downloads", 1, 1),
    ("signed-header", "1 not_presigned_get", 1, 1),
    ("tampered", "1 failed_request", 0, 0),
    ("user-twice", "1 invalid_user_id", 1, 1),
    ("version-2", "1 unsigned_ids", 1, 1),
    ("whole", "1 downloads", 1, 1),
    ("without-ids", "1 no_ids", 1, 1),
    ("without-user", "1 no_user", 1, 1),
];

struct Post {
    headers: String,
    body: Vec<u8>,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// The names, without their ending, of the files in `name`.
fn cases(name: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder(name)).unwrap();
    files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// The requests of a recording: each has headers, an empty line, and as many bytes as `content-length` says.
fn posts(mode: &str, case: &str) -> Vec<Post> {
    let text = std::fs::read(folder("minio").join(mode).join(format!("{case}.http"))).unwrap();
    let (mut posts, mut rest) = (Vec::new(), text.as_slice());
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\n\n").unwrap();
        let headers = String::from_utf8(rest[..end].to_vec()).unwrap();
        let length: usize = headers.rsplit_once("content-length: ").unwrap().1.parse().unwrap();
        let (body, others) = rest[end + 2..].split_at(length);
        posts.push(Post { headers, body: body.to_vec() });
        rest = others;
    }
    posts
}

fn read(body: &[u8]) -> Reading {
    read_for(body, &"request:r".into(), &MeteringPolicy::default(), true)
}

fn recorded(mode: &str, case: &str) -> Vec<Reading> {
    posts(mode, case).iter().map(|post| read(&post.body)).collect()
}

/// `1 downloads, 2 no_ids`, of all readings together.
fn told(readings: &[Reading]) -> String {
    let mut counts = BTreeMap::<&str, u64>::new();
    for reading in readings {
        let quarantined = reading.quarantined.iter().map(|own| (own.reason.name(), 1));
        let skipped = reading.skipped.iter().map(|(reason, count)| (reason.name(), *count));
        let downloads = reading.downloads.iter().map(|_| ("downloads", 1));
        let mut sum = 0;
        for (name, count) in quarantined.chain(skipped).chain(downloads) {
            *counts.entry(name).or_default() += count;
            sum += count;
        }
        assert_eq!(sum, reading.records, "the accounts of {reading:?}");
    }
    counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}

fn reads(readings: &[Reading]) -> Vec<&Read> {
    readings.iter().flat_map(|reading| &reading.reads).collect()
}

/// All that matters of a case, in an order of its own: parts that were read at once arrive in any.
fn lines(readings: &[Reading]) -> Vec<String> {
    let downloads = readings.iter().flat_map(|reading| &reading.downloads);
    let mut lines: Vec<_> = downloads.map(|own| format!("{}  {}", own.record, own.identity)).collect();
    lines.extend(reads(readings).into_iter().map(shown));
    lines.sort();
    lines
}

fn indented(lines: &[String]) -> String {
    lines.iter().flat_map(|line| ["  ", line.as_str(), "\n"]).collect()
}

fn shown(read: &Read) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let bytes = read.bytes.map_or("-".to_owned(), |bytes| bytes.to_string());
    let ids = [&read.collection, &read.item, &read.asset].map(text).join(" ");
    assert!(read.timestamp().is_some(), "the time of {read:?}");
    format!(
        "read {}/{} {bytes} bytes by {} [{}] key {} ids {ids}",
        read.bucket,
        read.key,
        text(&read.client_address),
        text(&read.user_agent),
        text(&read.access_key)
    )
}

#[test]
fn every_case_is_recorded_in_every_mode_and_means_what_it_must() {
    let names: BTreeSet<String> = EXPECTED.iter().map(|(case, ..)| (*case).to_owned()).collect();
    for mode in AUDIT {
        assert_eq!(cases(&format!("minio/{mode}")), names, "{mode}");
        for (case, expected, shown, _) in EXPECTED {
            let readings = recorded(mode, case);
            assert_eq!((told(&readings).as_str(), reads(&readings).len()), (expected, shown), "{mode}/{case}");
        }
    }
}

#[test]
fn the_way_of_sending_changes_nothing_of_what_is_told() {
    for (case, ..) in EXPECTED {
        let [one, hundred, queued] = AUDIT.map(|mode| lines(&recorded(mode, case)));
        assert_eq!(one, hundred, "{case}");
        assert_eq!(one, queued, "{case}");
    }
}

#[test]
fn what_each_download_is_worth() {
    let text = |(case, told, ..): &(&str, &str, usize, usize)| {
        format!("{case}: {told}\n{}", indented(&lines(&recorded("batch-1", case))))
    };
    let text = EXPECTED.iter().map(text).collect::<Vec<_>>().concat();
    insta::assert_snapshot!(text);
}

#[test]
fn notifications_are_never_billed_and_tell_of_the_same_reads() {
    let told_of = EXPECTED.iter().filter(|(_, _, _, reads)| *reads > 0);
    let mut expected: BTreeSet<String> = told_of.map(|(case, ..)| (*case).to_owned()).collect();
    // The subscription to reads brings these too.
    expected.extend(["head".to_owned(), "attributes".to_owned()]);
    assert_eq!(cases("minio/notification"), expected);
    for (case, _, _, shown) in EXPECTED.into_iter().filter(|(case, ..)| expected.contains(*case)) {
        let notified = recorded("notification", case);
        assert_eq!(told(&notified), format!("{} notification", notified.len()), "{case}");
        assert_eq!(reads(&notified).len(), shown, "{case}");
        let what = |read: &Read| {
            let visitor = (read.client_address.clone(), read.user_agent.clone(), read.access_key.clone());
            (read.identity.clone().unwrap(), read.bucket.clone(), read.key.clone(), visitor)
        };
        let told: BTreeSet<_> = reads(&notified).into_iter().map(what).collect();
        let audited: BTreeSet<_> = reads(&recorded("batch-1", case)).into_iter().map(what).collect();
        assert_eq!(told, audited, "{case}");
    }
}

#[test]
fn each_mode_sends_as_its_folder_says() {
    for (case, ..) in EXPECTED {
        for post in posts("batch-1", case) {
            assert!(post.headers.contains("content-type: application/json"), "{case}");
            let (last, entry) = post.body.split_last().unwrap();
            assert!(*last == b'\n' && !entry.contains(&b'\n'), "{case}");
        }
        for mode in ["batch-100", "queue-dir"] {
            assert!(posts(mode, case).iter().all(|post| !post.headers.contains("content-type")), "{mode}/{case}");
        }
    }
    let parts = posts("queue-dir", "parallel-parts");
    assert!(parts.iter().any(|post| read(&post.body).records > 1), "no body holds more than one entry");
}

#[test]
fn no_recording_holds_what_opens_anything() {
    for mode in AUDIT.into_iter().chain(["notification"]) {
        for case in cases(&format!("minio/{mode}")) {
            for post in posts(mode, &case) {
                let body = String::from_utf8(post.body).unwrap();
                let authorization = post.headers.split("authorization: Bearer ").nth(1).unwrap();
                assert!(authorization.starts_with("0000"), "{mode}/{case}");
                for entry in body.lines() {
                    credentials(&serde_json::from_str(entry).unwrap(), "", &format!("{mode}/{case}"));
                    assert!(!redact::record(entry.as_bytes()).contains("0000000000000000"), "{mode}/{case}");
                }
            }
        }
    }
}

/// Everything that would be a credential is zeros.
fn credentials(value: &Value, key: &str, place: &str) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| credentials(value, key, place)),
        Value::Array(values) => values.iter().for_each(|value| credentials(value, key, place)),
        Value::String(text) => match key {
            "X-Amz-Signature" | "Signature" => assert!(text.bytes().all(|byte| byte == b'0'), "{place}: {key}"),
            "X-Amz-Credential" => assert!(text.starts_with("000"), "{place}: {key}"),
            "Authorization" => {
                assert!(text.contains("Credential=000") && text.contains("Signature=000"), "{place}: {key}");
            }
            _ => {}
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn rustfs_is_told_by_its_shape_and_never_billed() {
    let text = |case: &String| {
        let readings = [read(&std::fs::read(folder("rustfs").join(format!("{case}.json"))).unwrap())];
        assert_eq!(readings[0].downloads, [], "{case}");
        format!("{case}: {}\n{}", told(&readings), indented(&lines(&readings)))
    };
    let text = cases("rustfs").iter().map(text).collect::<Vec<_>>().concat();
    insta::assert_snapshot!(text);
}
