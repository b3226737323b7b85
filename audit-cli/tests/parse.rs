//! `s3audit parse` as scripts see it: standard output, the last line of standard error, the status.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what fails here is the test")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

const USER: &str = "0b5f1c2a-6c1e-4b7e-9c55-1d5e2f3a4b6c";
const COLLECTION: &str = "2d6c7e90-11aa-4f0b-8a55-6f7e8d9c0b1a";

fn download(id: &str, bytes: &Value) -> Value {
    json!({
        "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "eventTime": "2025-10-27T10:12:30Z", "eventID": id,
        "requestParameters": {"X-Amz-Expires": "300", "userId": USER, "collectionId": COLLECTION, "itemId": "S2A"},
        "additionalEventData": {"AuthenticationMethod": "QueryString", "bytesTransferredOut": bytes},
    })
}

fn line(bytes: u64) -> String {
    format!("{USER}|{COLLECTION}|S2A|2025-10-27T10:12:30Z|{bytes}|aws_s3\n")
}

fn file(directory: &Path, name: &str, records: &[Value]) -> Vec<u8> {
    let text = json!({"Records": records}).to_string();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    std::fs::write(directory.join(name), &gzip).unwrap();
    gzip
}

fn command(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3audit"));
    command.current_dir(directory).env_clear().arg("parse").args(args);
    command
}

fn run(directory: &Path, args: &[&str]) -> Output {
    command(directory, args).output().unwrap()
}

fn tally(output: &Output) -> Value {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    serde_json::from_str(stderr.lines().last().unwrap()).unwrap_or_else(|_| panic!("{stderr}"))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn prints_each_download_once_in_file_order_and_accounts_for_every_record() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (one, two, odd) = (download("1", &json!(1)), download("2", &json!(2.0)), download("3", &json!(0.5)));
    file(directory, "b.json.gz", &[two.clone(), odd, json!({"eventName": "PutObject"}), json!(7)]);
    file(directory, "a.json.gz", &[one, two]);
    std::fs::write(directory.join("empty"), "").unwrap();
    let output = run(directory, &["--quarantine", "q.jsonl", "b.json.gz", "a.json.gz", "empty"]);
    assert_eq!(text(&output.stdout), line(2) + &line(1));
    assert_eq!(output.status.code(), Some(0));
    let analytics = json!({"events":0,"recorded":0,"dropped":0,"rejected":0,"ambiguous":0,"too_late":0,"excluded":0,"duplicates":0,"pending":0});
    assert_eq!(
        tally(&output),
        json!({"objects": {"read": 2, "skipped": 1, "failed": 0}, "records": 6, "downloads": 2,
            "skipped": {"not_presigned_get": 1}, "duplicates": 1, "quarantined": {"invalid_bytes": 1, "malformed": 1},
            "analytics": analytics})
    );
    let quarantine = std::fs::read_to_string(directory.join("q.jsonl")).unwrap();
    let lines: Vec<Value> = quarantine.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["reason"], &lines[0]["source"]), (&json!("invalid_bytes"), &json!("b.json.gz#2")));
    assert_eq!((&lines[0]["id"], &lines[0]["record"]["eventName"]), (&json!("3"), &json!("GetObject")));
    assert_eq!((&lines[1]["reason"], &lines[1]["source"]), (&json!("malformed"), &json!("b.json.gz#4")));
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(directory.join("q.jsonl")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn jsonl_tells_identity_and_source() {
    let directory = tempfile::tempdir().unwrap();
    file(directory.path(), "a.json.gz", &[download("event-9", &json!(5))]);
    let output = run(directory.path(), &["--format", "jsonl", "a.json.gz"]);
    let expected = format!(
        r#"{{"userId":"{USER}","collectionId":"{COLLECTION}","itemId":"S2A","timestamp":"2025-10-27T10:12:30Z","bytes":5,"backend":"aws_s3","id":"event-9","source":"a.json.gz#1"}}"#
    );
    assert_eq!(text(&output.stdout), expected + "\n");
}

#[test]
fn of_a_file_that_breaks_off_nothing_is_printed_and_the_others_are_done() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let many: Vec<Value> = (0..2000).map(|number| download(&format!("cut-{number}"), &json!(number))).collect();
    let whole = file(directory, "cut.json.gz", &many);
    std::fs::write(directory.join("cut.json.gz"), &whole[..whole.len() - 1]).unwrap();
    file(directory, "good.json.gz", &[download("1", &json!(1))]);
    let output = run(directory, &["cut.json.gz", "missing", ".", "good.json.gz"]);
    assert_eq!((text(&output.stdout), output.status.code()), (line(1).as_str(), Some(2)));
    assert_eq!(tally(&output)["objects"], json!({"read": 1, "skipped": 0, "failed": 3}));
    assert_eq!(tally(&output)["records"], json!(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("s3audit: cut.json.gz: byte ") && stderr.contains("cut off"), "{stderr}");
    assert!(stderr.contains("s3audit: missing: No such file"), "{stderr}");
}

#[test]
fn reads_standard_input_and_settings() {
    let directory = tempfile::tempdir().unwrap();
    let mut record = download("1", &json!(1));
    record["requestParameters"]["userId"].take();
    let gzip = file(directory.path(), "a.json.gz", &[record]);
    std::fs::write(directory.path().join(".env"), format!("ANONYMOUS_USER_ID={USER}\n")).unwrap();
    let mut child = command(directory.path(), &["-"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&gzip).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), line(1));

    let capped = command(directory.path(), &["a.json.gz"]).env("MAX_DECOMPRESSED_BYTES", "100").output().unwrap();
    assert_eq!(capped.status.code(), Some(2));
    assert!(text(&capped.stderr).contains("a.json.gz: more than 100 bytes of text"), "{}", text(&capped.stderr));
}

#[test]
fn wrong_usage_is_64_and_names_no_value() {
    let directory = tempfile::tempdir().unwrap();
    for args in [&[][..], &["--format", "xml", "a"], &["--nonsense"], &["--quarantine", "no/such/directory", "a"]] {
        assert_eq!(run(directory.path(), args).status.code(), Some(64), "{args:?}");
    }
    for variable in ["ANONYMOUS_USER_ID", "MAX_DECOMPRESSED_BYTES"] {
        let output = command(directory.path(), &["a"]).env(variable, "hunter2").output().unwrap();
        assert_eq!(output.status.code(), Some(64));
        let stderr = text(&output.stderr);
        assert!(stderr.contains(variable) && stderr.contains("expected") && !stderr.contains("hunter2"), "{stderr}");
    }
    let help = run(directory.path(), &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("Examples:"));
}

#[test]
fn a_closed_pipe_is_quiet() {
    let directory = tempfile::tempdir().unwrap();
    let many: Vec<Value> = (0..5000).map(|number| download(&format!("{number}"), &json!(number))).collect();
    file(directory.path(), "a.json.gz", &many);
    let mut child = command(directory.path(), &["a.json.gz"]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((text(&output.stderr), output.status.code()), ("", Some(0)));
}

#[test]
fn minio_entries_are_parsed_from_plain_and_gzip_files() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let entry = |request: &str, tx: Value| {
        json!({
            "version": "1", "deploymentid": "d-1", "time": "2026-07-14T04:42:23.26Z", "trigger": "incoming", "requestID": request,
            "api": {"name": "GetObject", "bucket": "stac", "object": "a.tif", "statusCode": 200, "tx": tx},
            "requestQuery": {"X-Amz-Signature": "5ecre7", "userId": USER, "collectionId": COLLECTION, "itemId": "S2A"},
        })
        .to_string()
    };
    let log = format!("{}\n{}\n{{\"torn\"\n", entry("1", json!(7)), entry("2", json!(-1)));
    std::fs::write(directory.join("audit.log"), &log).unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(log.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    std::fs::write(directory.join("audit.log.gz"), &gzip).unwrap();
    std::fs::write(directory.join("cut.gz"), &gzip[..gzip.len() - 9]).unwrap();
    std::fs::write(directory.join("probe"), "{}\n").unwrap();
    let args = ["--source", "minio", "--quarantine", "q", "audit.log", "audit.log.gz", "probe"];
    let output = run(directory, &args);
    assert_eq!(text(&output.stdout), format!("{USER}|{COLLECTION}|S2A|2026-07-14T04:42:23.26Z|7|minio\n"));
    assert_eq!(output.status.code(), Some(0));
    let told = tally(&output);
    assert_eq!(told["objects"], json!({"read": 2, "skipped": 1, "failed": 0}));
    assert_eq!((&told["records"], &told["downloads"], &told["duplicates"]), (&json!(6), &json!(1), &json!(1)));
    assert_eq!(told["quarantined"], json!({"invalid_bytes": 2, "malformed": 2}));
    let quarantine = std::fs::read_to_string(directory.join("q")).unwrap();
    assert!(quarantine.contains("audit.log.gz#3") && !quarantine.contains("5ecre7"), "{quarantine}");

    let output = run(directory, &["--source", "minio", "cut.gz", "probe"]);
    assert_eq!((text(&output.stdout), output.status.code()), ("", Some(2)));
    assert_eq!(tally(&output)["objects"], json!({"read": 0, "skipped": 1, "failed": 1}));
}
