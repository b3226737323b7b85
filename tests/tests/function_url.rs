//! The receiver's binary as a Lambda function: behind a function URL, and triggered by its own queue.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, which fail by a panic"
)]

use std::time::Duration;

use e2e::fixture::{adds_up, lines, post_of, sqs_event};
use e2e::receiver::TOKEN;
use e2e::{EventSource, Function, FunctionSpec, Get, Metering, Moto, UrlRequest, UrlResponse, aws};
use serde_json::{Value, json};

const PROCESSOR: &str = "/auditlogs/processor";
/// Time enough for one request upstream, but not for many tries: a request must have ten seconds left.
const SHORT: Duration = Duration::from_secs(18);

/// A function with a metering sink of its own.
struct Site {
    metering: Metering,
    function: Function,
}

impl Site {
    async fn new() -> Self {
        Self::with(Metering::start().await.unwrap(), &[])
    }

    /// With further variables, which win over the usual ones.
    fn with(metering: Metering, more: &[(&str, &str)]) -> Self {
        let mut spec = FunctionSpec::new("lambda-minio-http").unwrap();
        spec.environment = metering.environment();
        spec = spec.env("LEDGER_URL", "memory:").env("WEBHOOK_AUTH_TOKEN", TOKEN);
        for &(name, value) in more {
            spec = spec.env(name, value);
        }
        Self { metering, function: Function::new(spec).unwrap() }
    }

    async fn request(&self, request: &UrlRequest) -> UrlResponse {
        self.function.request(request).await.unwrap_or_else(|error| panic!("{error:?}\n{}", self.function.log()))
    }

    /// Posts entries as MinIO does, with a time limit that leaves no room for many tries.
    async fn post(&self, body: Vec<u8>) -> u16 {
        let event = post(body).event();
        let answer = self.function.invoke_within(&event, SHORT).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error:?}\n{}", self.function.log()));
        UrlResponse::parse(&answer).unwrap().status
    }

    fn tallies(&self) -> Vec<Value> {
        let log = self.function.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"] == "run finished").map(|mut line| line["tally"].take()).collect()
    }
}

/// A batch of MinIO's: no Content-Type, so the URL encodes it.
fn post(body: Vec<u8>) -> UrlRequest {
    UrlRequest::new("POST", PROCESSOR, body).header("Authorization", TOKEN)
}

#[tokio::test]
async fn entries_are_delivered_before_the_answer_however_the_body_comes() {
    let site = Site::new().await;
    let gets = Get::many(1..=6);
    let plain = UrlRequest::post(PROCESSOR, lines(&[gets[0].minio()])).header("AUTHORIZATION", TOKEN);
    assert_eq!(plain.event()["isBase64Encoded"], false);
    assert_eq!(site.request(&plain).await.status, 200);
    site.metering.has_exactly(&gets[..1]).await.unwrap();

    let encoded = post(post_of(&gets[1..]));
    assert_eq!(encoded.event()["isBase64Encoded"], true);
    assert_eq!(site.request(&encoded).await.status, 200);
    site.metering.has_exactly(&gets).await.unwrap();

    let tallies = site.tallies();
    assert_eq!(tallies.iter().map(|tally| tally["delivered"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 5]);
    assert!(tallies.iter().all(adds_up), "{tallies:?}");
}

#[tokio::test]
async fn paths_and_tokens_are_as_on_a_server() {
    let site = Site::new().await;
    let status = site.request(&UrlRequest::get("/")).await;
    assert_eq!((status.status, status.body.as_slice()), (200, br#"{"status":"ok"}"#.as_slice()));
    assert_eq!(status.headers["content-type"], "application/json");
    let bearer = format!("Bearer {TOKEN}");
    for (request, expected) in [
        (UrlRequest::get("/ready"), 200),
        (UrlRequest::get("/nothing"), 404),
        (UrlRequest::get(PROCESSOR), 405),
        (UrlRequest::new("PUT", PROCESSOR, b"{}".to_vec()), 405),
        (UrlRequest::post("/auditlogs/processor/", "{}"), 404),
        (UrlRequest::post(PROCESSOR, "{}"), 401),
        (UrlRequest::post(PROCESSOR, "{}").header("Authorization", "wrong"), 403),
        (UrlRequest::post(PROCESSOR, "{}").header("Authorization", TOKEN), 200),
        (UrlRequest::post(PROCESSOR, "{}").header("Authorization", &bearer), 200),
        (UrlRequest::post("/auditlogs/processor?x=1", "").header("Authorization", TOKEN), 200),
    ] {
        let answer = site.request(&request).await;
        assert_eq!(answer.status, expected, "{request:?}");
        assert!(!answer.headers.contains_key("location"), "{request:?}");
    }
    assert_eq!(site.metering.posts().await.unwrap(), 0);
}

#[tokio::test]
async fn a_failing_upstream_is_503_and_the_post_comes_once_when_it_is_sent_again() {
    let site = Site::new().await;
    let gets = Get::many(1..=4);
    site.metering.upstreams().fault(&json!({"target": "execution", "status": 503})).await.unwrap();
    assert_eq!(site.post(post_of(&gets)).await, 503);
    site.metering.has_exactly(&[]).await.unwrap();
    site.metering.upstreams().clear_faults().await.unwrap();
    assert_eq!(site.post(post_of(&gets)).await, 200);
    assert_eq!(site.post(post_of(&gets)).await, 200);
    site.metering.has_exactly(&gets).await.unwrap();
    assert_eq!(site.tallies().pop().unwrap()["duplicates"], 4);
}

#[tokio::test]
async fn bad_content_is_quarantined_and_answered_200() {
    let site = Site::new().await;
    let body = [b"{\"version\": \n17\n".to_vec(), post_of(&Get::many([1])), vec![0xff, 0xfe, b'\n']].concat();
    assert_eq!(site.post(body).await, 200);
    let tally = site.tallies().pop().unwrap();
    assert!(adds_up(&tally), "{tally}");
    assert_eq!((&tally["records"], &tally["quarantined"]), (&json!(4), &json!({"malformed": 3})));
    assert_eq!(site.metering.quarantined().unwrap().len(), 3);
    site.metering.has_exactly(&Get::many([1])).await.unwrap();
}

#[tokio::test]
async fn a_payload_of_another_kind_is_an_error_that_names_what_was_seen() {
    let site = Site::new().await;
    for (payload, seen) in [
        (json!({"strange": 1, "odd": 2}), "strange"),
        (json!({"Records": [{"eventSource": "aws:s3"}]}), "Records"),
        (json!({"Records": []}), "Records"),
        (json!([1]), "no object"),
        (json!("text"), "no object"),
    ] {
        let error = site.function.invoke(&payload).await.unwrap_err();
        let said = error.message.contains(seen) && error.message.contains("expected a function URL request or SQS");
        assert!(said, "{payload}: {error:?}");
    }
}

/// A queue, and a function behind its URL that sends there.
async fn queued(more: &[(&str, &str)]) -> (Site, aws_sdk_sqs::Client, String) {
    let moto = Moto::shared().await.unwrap();
    let sqs = moto.sqs();
    let name = format!("entries-{}", uuid::Uuid::new_v4());
    let queue = aws::create_queue(&sqs, &name, &[("VisibilityTimeout", "1")]).await.unwrap();
    let mut all = vec![("QUEUE_URL", queue.as_str()), ("AWS_ENDPOINT_URL", moto.endpoint())];
    all.extend(more);
    let site = Site::with(Metering::start().await.unwrap(), &all);
    (site, sqs, queue)
}

#[tokio::test]
async fn with_a_queue_posts_become_messages_that_the_same_binary_delivers() {
    let (site, sqs, queue) = queued(&[]).await;
    let gets = Get::many(1..=9);
    for some in gets.chunks(3) {
        assert_eq!(site.post(post_of(some)).await, 200);
    }
    assert_eq!(site.metering.posts().await.unwrap(), 0);
    let source = EventSource::new(sqs, &queue, 10).await.unwrap();
    assert_eq!(source.remaining().await.unwrap(), 3);
    for outcome in source.drain(&site.function).await.unwrap() {
        assert!(outcome.failed.is_empty() && outcome.error.is_none(), "{outcome:?}");
    }
    assert_eq!(source.remaining().await.unwrap(), 0);
    site.metering.has_exactly(&gets).await.unwrap();
    assert!(site.tallies().iter().all(adds_up));
}

#[tokio::test]
async fn a_dead_upstream_leaves_the_messages_in_the_queue() {
    let (site, sqs, queue) = queued(&[("BATCH_MAX_RECORDS", "2")]).await;
    let gets = Get::many(1..=4);
    assert_eq!(site.post(post_of(&gets[..2])).await, 200);
    assert_eq!(site.post(post_of(&gets[2..])).await, 200);
    // The first batch passes.
    let fault = json!({"target": "execution", "after": 1, "status": 503});
    site.metering.upstreams().fault(&fault).await.unwrap();
    let bodies = receive(&sqs, &queue).await;
    let messages: Vec<(&str, String)> = ["a", "b"].into_iter().zip(bodies).collect();
    assert_eq!(messages.len(), 2);
    let answer = site.function.invoke_within(&sqs_event(&messages), SHORT).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "b"}]}));
    assert_eq!(site.metering.rows().await.unwrap().len(), 2);

    site.metering.upstreams().clear_faults().await.unwrap();
    let source = EventSource::new(sqs, &queue, 10).await.unwrap();
    source.drain_all(&site.function, Duration::from_secs(30)).await.unwrap();
    site.metering.has_exactly(&gets).await.unwrap();
}

/// The bodies of what is in the queue; the messages stay there.
async fn receive(sqs: &aws_sdk_sqs::Client, queue: &str) -> Vec<String> {
    let request = sqs.receive_message().queue_url(queue).max_number_of_messages(10);
    let messages = request.send().await.unwrap().messages.unwrap_or_default();
    messages.iter().map(|message| message.body().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_message_that_is_not_ours_fails_alone() {
    let (site, sqs, queue) = queued(&[]).await;
    let get = Get::new(1);
    assert_eq!(site.post(lines(&[get.minio()])).await, 200);
    let own = receive(&sqs, &queue).await.pop().unwrap();
    let messages =
        [("foreign", "not ours".to_owned()), ("own", own), ("strange", json!({"downloads": [{}]}).to_string())];
    let answer = site.function.invoke(&sqs_event(&messages)).await.unwrap();
    let failures = json!({"batchItemFailures": [{"itemIdentifier": "foreign"}, {"itemIdentifier": "strange"}]});
    assert_eq!(answer, failures);
    site.metering.has_exactly(&[get]).await.unwrap();
    assert!(site.function.log().contains("message foreign: expected downloads from the receiver"));
}

#[tokio::test]
async fn a_post_larger_than_a_message_is_split() {
    let (site, sqs, queue) = queued(&[]).await;
    let gets = Get::many(0..2500);
    let body = post_of(&gets);
    assert!(body.len() < 4_500_000, "{}", body.len());
    assert_eq!(site.post(body).await, 200);
    let source = EventSource::new(sqs, &queue, 10).await.unwrap();
    let messages = source.remaining().await.unwrap();
    assert!((2..=10).contains(&messages), "{messages} messages");
    for outcome in source.drain(&site.function).await.unwrap() {
        assert!(outcome.failed.is_empty(), "{outcome:?}\n{}", site.function.log());
    }
    site.metering.has_exactly(&gets).await.unwrap();
}

#[tokio::test]
async fn a_queue_that_is_gone_is_503_and_not_ready() {
    let moto = Moto::shared().await.unwrap();
    let queue = format!("{}/123456789012/no-such-queue", moto.endpoint());
    let more = [("QUEUE_URL", queue.as_str()), ("AWS_ENDPOINT_URL", moto.endpoint())];
    let site = Site::with(Metering::start().await.unwrap(), &more);
    assert_eq!(site.post(lines(&[Get::new(1).minio()])).await, 503);
    assert!(site.function.log().contains("QUEUE_URL: no such queue"), "{}", site.function.log());
    assert_eq!(site.request(&UrlRequest::get("/ready")).await.status, 503);
}

#[tokio::test]
async fn a_wrong_configuration_is_named_at_start() {
    for (name, value) in [
        ("WEBHOOK_AUTH_TOKEN", ""),
        ("LEDGER_URL", ""),
        ("LEDGER_URL", "spool:"),
        ("QUARANTINE", ""),
        ("QUEUE_URL", "wr0ng"),
    ] {
        let site = Site::with(Metering::start().await.unwrap(), &[(name, value)]);
        let error = site.function.invoke(&UrlRequest::get("/").event()).await.unwrap_err();
        assert_eq!(error.error_type, "Runtime.ExitError");
        let log = site.function.log();
        assert!(log.contains(&format!("{name}: expected")) && !log.contains("wr0ng"), "{name}: {log}");
    }
}
