//! Functions with short timeouts: they send what they can await an answer for, and what is not answered is held, not lost.

use std::time::Duration;

use e2e::fake_aws::FakeAws;
use e2e::fixture::{log_of, s3_event, sqs_event};
use e2e::{Function, FunctionSpec, Get, Metering};
use serde_json::{Value, json};

use super::tallies;

/// Shorter than what is kept free for an answer where there is time enough.
const SHORT: Duration = Duration::from_secs(10);

async fn site() -> (Metering, FakeAws, Function, Value) {
    let (metering, aws) = (Metering::start().await.unwrap(), FakeAws::start().await.unwrap());
    aws.put("logs", "log", log_of(&Get::many(1..=5)).unwrap());
    let mut spec = FunctionSpec::new("lambda-cloudtrail").unwrap();
    spec.environment = metering.environment();
    let spec = spec.env("LEDGER_URL", "memory:").env("AWS_ENDPOINT_URL", aws.endpoint()).timeout(SHORT);
    let event = sqs_event(&[("m1", s3_event("logs", &["log"]).to_string())]);
    (metering, aws, Function::new(spec).unwrap(), event)
}

#[tokio::test]
async fn a_function_with_ten_seconds_delivers_and_says_that_they_are_few() {
    let (metering, _aws, function, event) = site().await;
    let answer = function.invoke(&event).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}), "{}", function.log());
    metering.has_exactly(&Get::many(1..=5)).await.unwrap();
    assert!(function.log().contains("the function's timeout is short"), "{}", function.log());
}

#[tokio::test]
async fn what_is_not_answered_within_ten_seconds_is_held() {
    let (metering, _aws, function, event) = site().await;
    metering.upstreams().fault(&json!({"target": "execution", "hang": true})).await.unwrap();
    let answer = function.invoke(&event).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}), "{}", function.log());
    let tally = tallies(&function).pop().unwrap();
    assert_eq!((&tally["held"], &tally["pending"]), (&json!(5), &json!(0)), "{tally}");
    assert_eq!(metering.held().unwrap().len(), 1);
}
