//! What the functions tell CloudWatch of their runs, and what a receiver before a queue does without.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, which fail by a panic"
)]

use std::time::Duration;

use e2e::fixture::{gzip, log, post_of, s3_event};
use e2e::receiver::TOKEN;
use e2e::{EventSource, Function, FunctionSpec, Get, Metering, Moto, UrlRequest, aws};
use serde_json::{Value, json};

fn function(name: &str, metering: &Metering, more: &[(&str, &str)]) -> Function {
    let mut spec = FunctionSpec::new(name).unwrap();
    spec.environment = metering.environment();
    spec.environment.retain(|(name, _)| !more.iter().any(|(other, _)| name == other));
    spec = spec.env("LEDGER_URL", "memory:").env("WEBHOOK_AUTH_TOKEN", TOKEN);
    for &(name, value) in more {
        spec = spec.env(name, value);
    }
    Function::new(spec).unwrap()
}

/// The documents in the embedded metric format that a function has written.
fn documents(function: &Function) -> Vec<Value> {
    let log = function.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line.get("_aws").is_some()).collect()
}

fn names(document: &Value) -> Vec<&str> {
    let metrics = document["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
    let mut names: Vec<&str> = metrics.iter().map(|metric| metric["Name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

async fn queue(moto: &Moto, name: &str) -> String {
    let name = format!("{name}-{}", uuid::Uuid::new_v4());
    aws::create_queue(&moto.sqs(), &name, &[("VisibilityTimeout", "5")]).await.unwrap()
}

#[tokio::test]
async fn a_run_is_told_with_its_requests_and_how_long_it_waited() {
    let (metering, moto) = (Metering::start().await.unwrap(), Moto::shared().await.unwrap());
    let bucket = format!("logs-{}", uuid::Uuid::new_v4());
    aws::create_bucket(&moto.s3(), &bucket).await.unwrap();
    let gets = Get::many(1..=5);
    let mut records: Vec<Value> = gets.iter().map(Get::cloudtrail).collect();
    let mut broken = Get::new(6).cloudtrail();
    broken["additionalEventData"]["bytesTransferredOut"] = json!(-1);
    records.push(broken);
    aws::put_object(&moto.s3(), &bucket, "a.json.gz", gzip(&log(&records)).unwrap()).await.unwrap();
    let files = queue(moto, "files").await;
    let message = s3_event(&bucket, &["a.json.gz"]).to_string();
    moto.sqs().send_message().queue_url(&files).message_body(message).send().await.unwrap();

    let more = [("AWS_ENDPOINT_URL", moto.endpoint()), ("BATCH_MAX_RECORDS", "3")];
    let reader = function("lambda-cloudtrail", &metering, &more);
    let source = EventSource::new(moto.sqs(), &files, 10).await.unwrap();
    let outcomes = source.drain_all(&reader, Duration::from_mins(2)).await.unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.failed.is_empty()), "{outcomes:?}\n{}", reader.log());
    metering.has_exactly(&gets).await.unwrap();

    let [numbers, reason] = documents(&reader).try_into().unwrap();
    let expected = [
        "batch_records",
        "delivered",
        "downloads",
        "objects_read",
        "oldest_seconds",
        "quarantined",
        "records",
        "upstream_seconds",
    ];
    assert_eq!(names(&numbers), expected, "{numbers}");
    assert_eq!((&numbers["function"], &numbers["records"]), (&json!("lambda-cloudtrail"), &json!(6)));
    assert_eq!((&numbers["delivered"], &numbers["batch_records"]), (&json!(5), &json!([3, 2])));
    assert!(numbers["upstream_seconds"].as_array().unwrap().iter().all(|took| took.as_f64().unwrap() > 0.0));
    assert!(numbers["oldest_seconds"].as_i64().unwrap() < 120, "{numbers}");
    assert_eq!((names(&reason), &reason["reason"]), (vec!["quarantined"], &json!("invalid_bytes")));
}

#[tokio::test]
async fn a_server_that_fails_is_told_and_people_see_no_metrics() {
    let (metering, moto) = (Metering::start().await.unwrap(), Moto::shared().await.unwrap());
    metering.upstreams().fault(&json!({"target": "execution", "status": 503})).await.unwrap();
    let records = json!({ "Records": [Get::new(1).cloudtrail()] });
    let own = [("AWS_ENDPOINT_URL", moto.endpoint())];
    let reader = function("lambda-cloudtrail", &metering, &own);
    reader.invoke_within(&records, Duration::from_secs(14)).await.unwrap_err();
    let [document] = documents(&reader).try_into().unwrap();
    assert!(document["upstream_errors"].as_u64().unwrap() >= 1, "{document}");
    assert_eq!((&document["pending"], document.get("delivered")), (&json!(1), None));

    metering.upstreams().clear_faults().await.unwrap();
    let text = function("lambda-cloudtrail", &metering, &[own[0], ("LOG_FORMAT", "text")]);
    text.invoke(&records).await.unwrap();
    assert!(text.log().contains("run finished") && documents(&text).is_empty(), "{}", text.log());
}

#[tokio::test]
async fn a_receiver_before_a_queue_needs_no_secret_of_the_sinks() {
    let (metering, moto) = (Metering::start().await.unwrap(), Moto::shared().await.unwrap());
    let entries = queue(moto, "entries").await;
    let absent = format!("arn:aws:secretsmanager:eu-central-1:123456789012:secret:{}-AbCdEf", uuid::Uuid::new_v4());
    let shared = [("QUEUE_URL", entries.as_str()), ("AWS_ENDPOINT_URL", moto.endpoint())];
    let closed = [shared[0], shared[1], ("CLIENT_SECRET", ""), ("CLIENT_SECRET_ARN", absent.as_str())];
    let receiver = function("lambda-minio-http", &metering, &closed);
    let gets = Get::many(1..=4);
    let post = UrlRequest::new("POST", "/auditlogs/processor", post_of(&gets)).header("Authorization", TOKEN);
    let answer = receiver.request(&post).await.unwrap();
    assert_eq!(answer.status, 200, "{}", receiver.log());
    let [document] = documents(&receiver).try_into().unwrap();
    assert_eq!(names(&document), ["downloads", "pending", "records"]);

    // A deliverer without it fails as a whole, so that its messages come again.
    let source = EventSource::new(moto.sqs(), &entries, 10).await.unwrap();
    let outcome = source.poll(&function("lambda-minio-http", &metering, &closed)).await.unwrap().unwrap();
    assert!(outcome.error.unwrap().message.contains("CLIENT_SECRET_ARN: "));
    let deliverer = function("lambda-minio-http", &metering, &shared);
    source.drain_all(&deliverer, Duration::from_mins(2)).await.unwrap();
    metering.has_exactly(&gets).await.unwrap();
    let [document] = documents(&deliverer).try_into().unwrap();
    assert_eq!((&document["delivered"], &document["batch_records"]), (&json!(4), &json!([4])));
    assert!(document["oldest_seconds"].is_i64(), "{document}");
}
