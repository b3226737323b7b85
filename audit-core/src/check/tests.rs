//! What S3 and SQS refuse, in words: each says which permission or setting is missing.

use std::time::Duration;

use wiremock::matchers::{method, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::aws::AwsSettings;
use crate::clock::Clock;
use crate::store::{Place, Store};

fn settings(server: &MockServer) -> AwsSettings {
    AwsSettings::of_server(server.uri())
}

fn refusal(code: &str, message: &str) -> ResponseTemplate {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
    ResponseTemplate::new(403).set_body_string(body)
}

fn listed(key: &str) -> ResponseTemplate {
    let contents = format!("<Contents><Key>{key}</Key><Size>9</Size></Contents>");
    let body = format!(
        "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
    );
    ResponseTemplate::new(200).set_body_string(body)
}

/// A server that answers lists by `list` and reads by `get`.
async fn bucket_of(list: ResponseTemplate, get: ResponseTemplate) -> Vec<Finding> {
    let server = MockServer::start().await;
    Mock::given(method("GET")).and(query_param_is_missing("list-type")).respond_with(get).mount(&server).await;
    Mock::given(method("GET")).respond_with(list).mount(&server).await;
    bucket(&settings(&server).s3(), "trail", "").await
}

fn only(found: &[Finding]) -> (&'static str, &str) {
    match found {
        [Finding::Fine(words)] => ("fine", words),
        [Finding::Note(words)] => ("note", words),
        [Finding::Trouble(words)] => ("trouble", words),
        _ => panic!("{found:?}"),
    }
}

#[tokio::test]
async fn the_log_bucket_s_missing_permissions_are_named() {
    let key = "AWSLogs/1/CloudTrail/x/2026/03/10/a.json.gz";
    let log = || ResponseTemplate::new(200).set_body_bytes([0x1f, 0x8b, 8, 0]);
    let denied = || refusal("AccessDenied", "Access Denied");
    let kms = refusal("AccessDenied", "user is not authorized to perform: kms:Decrypt on the resource");
    for (list, get, kind, words) in [
        (listed(key), log(), "fine", "a log file of it read"),
        (denied(), log(), "trouble", "s3:ListBucket"),
        (listed(key), denied(), "trouble", "s3:GetObject"),
        (listed(key), kms, "trouble", "needs kms:Decrypt on the key that encrypts this object"),
        (refusal("AuthorizationHeaderMalformed", "region"), log(), "trouble", "CLOUDTRAIL_REGION"),
        (listed("AWSLogs/1/CloudTrail-Digest/d.json.gz"), log(), "note", "no log file is among"),
        (
            listed(key),
            ResponseTemplate::new(200).set_body_string("something else"),
            "note",
            "neither as gzip nor as JSON",
        ),
    ] {
        let found = bucket_of(list, get).await;
        let (told, text) = only(&found);
        assert!(told == kind && text.contains(words), "{words}: {found:?}");
    }
}

/// A page of a bucket that goes on.
fn page(key: &str) -> ResponseTemplate {
    let contents = format!("<Contents><Key>{key}</Key><Size>9</Size></Contents>");
    let body = format!(
        "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>true</IsTruncated>{contents}</ListBucketResult>"
    );
    ResponseTemplate::new(200).set_body_string(body)
}

#[tokio::test]
async fn a_log_file_is_found_behind_any_number_of_digests() {
    let server = MockServer::start().await;
    let lists = |after: &str| Mock::given(method("GET")).and(query_param("start-after", after));
    lists("AWSLogs/1/CloudTrail-~").respond_with(listed("AWSLogs/1/CloudTrail/x/a.json.gz")).mount(&server).await;
    let first = page("AWSLogs/1/CloudTrail-Digest/x/d.json.gz");
    Mock::given(method("GET")).and(query_param("list-type", "2")).respond_with(first).mount(&server).await;
    let log = ResponseTemplate::new(200).set_body_bytes([0x1f, 0x8b, 8, 0]);
    Mock::given(method("GET")).and(query_param_is_missing("list-type")).respond_with(log).mount(&server).await;
    let found = bucket(&settings(&server).s3(), "trail", "").await;
    assert_eq!(only(&found).0, "fine", "{found:?}");
}

#[tokio::test]
async fn a_probe_that_cannot_be_removed_is_named_and_no_trouble() {
    let server = MockServer::start().await;
    Mock::given(method("PUT")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    Mock::given(method("DELETE")).respond_with(refusal("AccessDenied", "no")).mount(&server).await;
    Mock::given(method("GET")).respond_with(refusal("AccessDenied", "no")).mount(&server).await;
    let of = Place::S3 { bucket: "own".into(), prefix: "held".into() };
    let store = Store::open(&of, || settings(&server).s3(), Clock::system());
    let found = place(&store, Use::Held).await;
    let [Finding::Note(left), Finding::Note(uncounted)] = found.as_slice() else { panic!("{found:?}") };
    assert!(
        left.contains("the probe s3://own/held/doctor/") && left.contains("need s3:PutObject and s3:GetObject;"),
        "{left}"
    );
    assert!(uncounted.contains("s3:ListBucket"), "{uncounted}");
}

#[tokio::test]
async fn a_place_that_takes_nothing_is_trouble() {
    let server = MockServer::start().await;
    Mock::given(method("PUT")).respond_with(refusal("AccessDenied", "no")).mount(&server).await;
    let of = Place::S3 { bucket: "own".into(), prefix: "q".into() };
    let store = Store::open(&of, || settings(&server).s3(), Clock::system());
    let found = place(&store, Use::Quarantine).await;
    let (kind, words) = only(&found);
    assert!(
        kind == "trouble" && words.contains("QUARANTINE: s3://own/q/doctor/") && words.contains("s3:PutObject"),
        "{words}"
    );
}

#[tokio::test]
async fn a_queue_that_may_not_be_looked_at_is_trouble() {
    let server = MockServer::start().await;
    let body = serde_json::json!({"__type": "com.amazonaws.sqs#AccessDeniedException", "message": "no"});
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(403).set_body_json(body)).mount(&server).await;
    let terms = QueueTerms { function_timeout: Duration::from_mins(5), lease: Duration::from_mins(15) };
    let found = queue(&settings(&server).sqs(), &format!("{}/1/logs", server.uri()), terms).await;
    let (kind, words) = only(&found);
    assert!(kind == "trouble" && words.contains("sqs:GetQueueAttributes"), "{words}");
}
