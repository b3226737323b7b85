//! An invocation that runs out of time stops by itself, and says so.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use e2e::Get;
use e2e::fixture::{adds_up, log_of, sqs_event};
use serde_json::json;

use super::{SHORT, Trail, picked};

/// An S3 that serves `good` and never answers for anything else; answers its endpoint.
async fn slow_s3(good: Vec<u8>) -> String {
    async fn get(State(good): State<Arc<Vec<u8>>>, Path((_, key)): Path<(String, String)>) -> (StatusCode, Vec<u8>) {
        if key != "good" {
            std::future::pending::<()>().await;
        }
        (StatusCode::OK, good.to_vec())
    }
    let router = Router::new().route("/{bucket}/{*key}", axum::routing::get(get)).with_state(Arc::new(good));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    endpoint
}

#[tokio::test]
async fn a_file_that_is_not_read_in_time_fails_and_its_neighbours_are_delivered() {
    let good = Get::many(1..=3);
    let endpoint = slow_s3(log_of(&good).unwrap()).await;
    let trail = Trail::with(|_| vec![("AWS_ENDPOINT_URL_S3", endpoint)]).await;
    let messages = [("good", trail.event(&["good"]).to_string()), ("slow", trail.event(&["slow"]).to_string())];
    let answer = trail.function.invoke_within(&sqs_event(&messages), SHORT).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "slow"}]}));
    let log = trail.function.log();
    assert!(log.contains("/slow: not read before the end of the invocation"), "{log}");
    assert_eq!(trail.logged().pop().unwrap()["objects"], json!({"read": 1, "skipped": 0, "failed": 1}));
    trail.has_exactly(&good).await;
}

#[tokio::test]
async fn a_hanging_upstream_makes_one_held_batch_and_the_rest_comes_again() {
    let trail = Trail::with(|_| vec![("BATCH_MAX_RECORDS", "2".to_owned())]).await;
    let gets = Get::many(1..=8);
    trail.log("k", &gets).await;
    let event = trail.event(&["k"]);
    trail.metering.upstreams().fault(&json!({"target": "execution", "hang": true})).await.unwrap();
    let error = trail.function.invoke_within(&event, Duration::from_secs(16)).await.unwrap_err();
    assert!(error.message.contains("downloads are pending"), "{error:?}");
    let tally = trail.logged().pop().unwrap();
    assert!(adds_up(&tally), "{tally}");
    assert_eq!(picked(&tally, &["held", "pending", "delivered"]), json!({"held": 2, "pending": 6, "delivered": 0}));

    trail.metering.upstreams().clear_faults().await.unwrap();
    let tally = trail.tally(&event).await;
    assert_eq!(picked(&tally, &["delivered", "duplicates"]), json!({"delivered": 6, "duplicates": 2}));
    trail.has_exactly(&gets[2..]).await;
    let held = trail.metering.held().unwrap();
    assert_eq!(held.len(), 1, "{held:?}");
}

#[tokio::test]
async fn an_invocation_longer_than_the_lease_is_refused() {
    let trail = Trail::with(|_| vec![("LEASE_SECONDS", "30".to_owned())]).await;
    trail.log("k", &Get::many([1])).await;
    let error = trail.function.invoke(&trail.event(&["k"])).await.unwrap_err();
    assert!(error.message.contains("LEASE_SECONDS: expected more than the function's timeout"), "{error:?}");
    trail.has_exactly(&[]).await;
}
