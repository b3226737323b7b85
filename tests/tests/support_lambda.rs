//! Lambda and its triggers as the tests emulate them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, which fail by a panic")]

use std::process::Command;
use std::time::Duration;

use e2e::{EventSource, Function, FunctionSpec, Moto, RuntimeApi, UrlRequest, UrlResponse, aws, http_client};
use serde_json::{Value, json};

const SECOND: Duration = Duration::from_secs(1);

/// A function that answers each invocation with its payload under `echo`, its id and its deadline; `{"fail":…}` fails.
async fn fake_function(api: String) {
    let client = http_client::client(10 * SECOND).unwrap();
    let base = format!("http://{api}/2018-06-01/runtime");
    loop {
        let Ok(next) = client.get(format!("{base}/invocation/next")).send().await else { return };
        let header = |name: &str| next.headers()[name].to_str().unwrap().to_owned();
        let (id, deadline) = (header("lambda-runtime-aws-request-id"), header("lambda-runtime-deadline-ms"));
        assert!(header("lambda-runtime-invoked-function-arn").ends_with(":function:fake"));
        let payload: Value = next.json().await.unwrap();
        let (outcome, body) = if payload.get("fail").is_some() {
            ("error", json!({"errorType": "Fake.Error", "errorMessage": payload["fail"], "stackTrace": []}))
        } else if payload.get("hang").is_some() {
            continue;
        } else {
            ("response", json!({"echo": payload, "deadline": deadline.parse::<i64>().unwrap()}))
        };
        let answer = client.post(format!("{base}/invocation/{id}/{outcome}")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        let again = client.post(format!("{base}/invocation/{id}/{outcome}")).json(&body).send().await.unwrap();
        assert_eq!(again.status(), 403);
    }
}

#[tokio::test]
async fn the_runtime_api_hands_out_invocations_and_takes_outcomes() {
    let api = RuntimeApi::start("fake").await.unwrap();
    assert_eq!(api.first_poll(SECOND / 20).await.unwrap_err().error_type, "Sandbox.InitTimedout");
    let function = tokio::spawn(fake_function(api.address()));
    api.first_poll(10 * SECOND).await.unwrap();

    let before = now_ms();
    let answer = api.invoke(json!({"n": 1}).to_string(), 30 * SECOND).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["echo"], json!({"n": 1}));
    let given = answer["deadline"].as_i64().unwrap() - before;
    assert!((30_000..40_000).contains(&given), "{given} ms");

    let error = api.invoke(json!({"fail": "words"}).to_string(), SECOND).await.unwrap_err();
    assert_eq!((error.error_type.as_str(), error.message.as_str()), ("Fake.Error", "words"));

    let error = api.invoke(json!({"hang": true}).to_string(), SECOND / 10).await.unwrap_err();
    assert_eq!(error.error_type, "Sandbox.Timedout");
    assert!(api.invoke(json!({"n": 2}).to_string(), SECOND).await.is_ok());

    let error = api.invoke(vec![b' '; 6 * 1024 * 1024 + 1], SECOND).await.unwrap_err();
    assert_eq!(error.error_type, "RequestEntityTooLargeException");
    function.abort();
}

fn now_ms() -> i64 {
    audit_core::clock::Clock::system().now().as_millisecond()
}

#[tokio::test]
async fn the_runtime_api_passes_on_a_failed_start() {
    let api = RuntimeApi::start("fake").await.unwrap();
    let client = http_client::client(10 * SECOND).unwrap();
    let url = format!("http://{}/2018-06-01/runtime/init/error", api.address());
    client.post(url).json(&json!({"errorType": "Config", "errorMessage": "no url"})).send().await.unwrap();
    let error = api.invoke("{}", SECOND).await.unwrap_err();
    assert_eq!((error.error_type.as_str(), error.message.as_str()), ("Config", "no url"));
}

/// A function whose binary is a shell script in the directory that comes with it.
fn script_function(script: &str) -> (Function, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("bootstrap");
    // Written by another process: a file that this one has open for writing cannot be executed, and a test that starts a
    // process at the same time would hold it open a little longer.
    let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod +x "$2""#;
    let written = Command::new("sh").args(["-c", write, "sh", script]).arg(&binary).status().unwrap();
    assert!(written.success());
    let environment = vec![("GREETING".to_owned(), "hello".to_owned())];
    let spec = FunctionSpec { name: "script".to_owned(), binary, environment, timeout: SECOND, memory_mb: 128 };
    (Function::new(spec).unwrap(), folder)
}

#[tokio::test]
async fn a_function_that_exits_fails_its_invocation() {
    let (function, _folder) =
        script_function("echo $GREETING from $AWS_LAMBDA_FUNCTION_NAME with ${AWS_LAMBDA_RUNTIME_API:+api}; exit 4");
    let error = function.invoke(&json!({})).await.unwrap_err();
    assert_eq!(error.error_type, "Runtime.ExitError");
    assert!(error.message.contains("exit status: 4"), "{error}");
    assert_eq!(function.log(), "hello from script with api\n");
    assert_eq!(function.pid().await, None);
    assert_eq!(function.invoke(&json!({})).await.unwrap_err().error_type, "Runtime.ExitError");
    assert_eq!(function.log().lines().count(), 2);
}

#[test]
fn a_function_url_hands_on_lower_case_headers_and_encodes_what_is_not_text() {
    let event = UrlRequest::post("/auditlogs/processor?a=1", "{}").header("Authorization", "Bearer x").event();
    assert_eq!(event["body"], "{}");
    assert_eq!(event["isBase64Encoded"], false);
    assert_eq!(event["rawPath"], "/auditlogs/processor");
    assert_eq!(event["rawQueryString"], "a=1");
    assert_eq!(event["headers"]["authorization"], "Bearer x");
    assert_eq!(event["requestContext"]["http"]["method"], "POST");

    let event = UrlRequest::new("POST", "/", vec![0xff, 0xfe]).event();
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("//4="), &json!(true)));
    assert!(UrlRequest::get("/").event().get("body").is_none());
}

#[test]
fn a_function_url_answer_is_read_as_payload_format_two() {
    let answer =
        json!({"statusCode": 401, "headers": {"Content-Type": "text/plain"}, "body": "bm8=", "isBase64Encoded": true});
    let read = UrlResponse::parse(&answer).unwrap();
    assert_eq!((read.status, read.body.as_slice()), (401, b"no".as_slice()));
    assert_eq!(read.headers["content-type"], "text/plain");
    assert_eq!(UrlResponse::parse(&json!({"ok": true})).unwrap().status, 200);
    assert!(UrlResponse::parse(&json!({"statusCode": "200"})).is_err());
}

#[tokio::test]
async fn an_event_source_leaves_failed_messages_to_the_dead_letters() {
    let moto = Moto::shared().await.unwrap();
    let (s3, sqs) = (moto.s3(), moto.sqs());
    let dead = aws::create_queue(&sqs, "source-dead", &[]).await.unwrap();
    let dead_arn = aws::queue_arn(&sqs, &dead).await.unwrap();
    let redrive = json!({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2}).to_string();
    let attributes = [("RedrivePolicy", redrive.as_str()), ("VisibilityTimeout", "1")];
    let queue = aws::create_queue(&sqs, "source", &attributes).await.unwrap();
    notify(&s3, "notifying", &aws::queue_arn(&sqs, &queue).await.unwrap()).await;
    aws::put_object(&s3, "notifying", "AWSLogs/1.json.gz", "log").await.unwrap();

    let source = EventSource::new(sqs.clone(), &queue, 10).await.unwrap();
    let (failing, _folder) = script_function("exit 1");
    let mut seen = Vec::new();
    for outcome in source.drain_all(&failing, 20 * SECOND).await.unwrap() {
        assert_eq!(outcome.failed.len(), outcome.messages);
        assert_eq!(outcome.error.unwrap().error_type, "Runtime.ExitError");
        seen.push(outcome.messages);
    }
    assert!(!seen.is_empty());
    let dead = EventSource::new(sqs, &dead, 10).await.unwrap();
    assert_eq!(dead.remaining().await.unwrap(), 2, "S3's test event and the notification");
}

async fn notify(s3: &aws_sdk_s3::Client, bucket: &str, queue_arn: &str) {
    use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration};
    aws::create_bucket(s3, bucket).await.unwrap();
    let queue = QueueConfiguration::builder().queue_arn(queue_arn).events(Event::S3ObjectCreated).build().unwrap();
    let notification = NotificationConfiguration::builder().queue_configurations(queue).build();
    let request = s3.put_bucket_notification_configuration().bucket(bucket).notification_configuration(notification);
    request.send().await.unwrap();
}
