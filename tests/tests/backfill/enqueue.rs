//! Sent to the function's own queue.

use e2e::{EventSource, Function, FunctionSpec, Get, aws};
use serde_json::json;

use super::{LIMIT, Past, march};

struct Queue {
    url: String,
    source: EventSource,
    function: Function,
}

async fn queue(past: &Past) -> Queue {
    let sqs = past.moto.sqs();
    let url = aws::create_queue(&sqs, &format!("logs-{}", uuid::Uuid::new_v4()), &[("VisibilityTimeout", "120")])
        .await
        .unwrap();
    let source = EventSource::new(sqs, &url, 10).await.unwrap();
    let mut spec = FunctionSpec::new("lambda-cloudtrail").unwrap();
    spec.environment = past.metering.environment();
    spec = spec.env("AWS_ENDPOINT_URL", past.moto.endpoint()).env("LEDGER_URL", past.redis.url());
    Queue { url, source, function: Function::new(spec).unwrap() }
}

async fn logs(past: &Past, files: u64) -> Vec<Get> {
    let gets = Get::many(1..=files * 2);
    for (number, part) in gets.chunks(2).enumerate() {
        past.log("2026/03/10", &format!("a b+{number:03}é"), part).await;
    }
    gets
}

#[tokio::test]
async fn the_function_delivers_what_was_sent_to_its_queue() {
    let past = Past::new().await;
    let gets = logs(&past, 57).await;
    past.put("AWSLogs/111122223333/CloudTrail-Digest/eu-central-1/2026/03/10/d.json.gz", "digest").await;
    let own = queue(&past).await;
    let told = past.backfill(&["--enqueue", "--queue", &own.url, "--files-per-message", "4"], &[]).await;
    assert_eq!(told.status, 0, "{}", told.stderr);
    assert_eq!(told.stdout.trim(), "57 files sent in 15 messages and 2 requests");
    assert_eq!(told.tally()["objects"], json!({"read": 0, "skipped": 1, "failed": 0}));
    assert_eq!(past.metering.posts().await.unwrap(), 0);
    assert_eq!(own.source.remaining().await.unwrap(), 15);

    let outcomes = own.source.drain_all(&own.function, LIMIT).await.unwrap();
    assert!(outcomes.iter().all(|own| own.error.is_none() && own.failed.is_empty()), "{outcomes:?}");
    past.metering.has_exactly(&gets).await.unwrap();

    // Twice is harmless: by the state nothing is sent, and without it the ledger knows all.
    let url = [("QUEUE_URL", own.url.as_str())];
    let again = past.backfill(&["--enqueue"], &url).await;
    assert_eq!((again.status, again.stdout.trim()), (0, "0 files sent in 0 messages and 0 requests"));
    let afresh = past.backfill(&["--enqueue", "--again"], &url).await;
    assert_eq!(afresh.stdout.trim(), "57 files sent in 6 messages and 1 requests", "{}", afresh.stderr);
    own.source.drain_all(&own.function, LIMIT).await.unwrap();
    past.metering.has_exactly(&gets).await.unwrap();
}

#[tokio::test]
async fn a_killed_run_goes_on_and_what_is_sent_twice_is_billed_once() {
    let past = Past::new().await;
    let gets = logs(&past, 150).await;
    let own = queue(&past).await;
    let (url, args) = (past.url(), ["--enqueue", "--queue", own.url.as_str(), "--files-per-message", "1"]);
    let mut run = past.start(&march(&url, &args), &[]);
    // However quick it is: what it has sent by then is sent.
    while run.try_exit().unwrap().is_none() && own.source.remaining().await.unwrap() == 0 {}
    run.kill().unwrap();
    let rest = past.backfill(&args, &[]).await;
    assert_eq!(rest.status, 0, "{}", rest.stderr);
    assert!(own.source.remaining().await.unwrap() >= 150);
    own.source.drain_all(&own.function, LIMIT).await.unwrap();
    past.metering.has_exactly(&gets).await.unwrap();
}

#[tokio::test]
async fn a_queue_that_cannot_be_right_is_told() {
    let past = Past::new().await;
    logs(&past, 2).await;
    let told = past.backfill(&["--enqueue"], &[]).await;
    assert!(told.status == 64 && told.stderr.contains("--queue (or QUEUE_URL)"), "{}", told.stderr);
    let fifo = format!("{}/1/logs.fifo", past.moto.endpoint());
    let told = past.backfill(&["--enqueue", "--queue", &fifo], &[]).await;
    assert!(told.status == 64 && told.stderr.contains("standard queue"), "{}", told.stderr);
    let absent = format!("{}/123456789012/no-such-queue", past.moto.endpoint());
    let told = past.backfill(&["--enqueue", "--queue", &absent], &[]).await;
    assert_eq!(told.status, 1, "{}", told.stderr);
    assert!(
        told.stderr.contains("no such queue") && told.stderr.contains("2 files are not finished"),
        "{}",
        told.stderr
    );
}
