//! Held batches, settled by what the resource server's database proves, beside a running receiver.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, which fail by a panic")]

mod cli;

use cli::{Place, USER};
use serde_json::{Value, json};

async fn held(place: &Place) -> Vec<Value> {
    let told = place.s3audit(&["held", "list", "--json"]).await;
    assert_eq!(told.status, 0, "{}", told.stderr);
    told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Makes a held batch of three downloads by `fault`.
async fn hold(fault: Value) -> Place {
    let mut place = Place::start().await;
    place.fault(fault).await;
    place.post(0..3, USER).await;
    place.delivered().await;
    let batches = held(&place).await;
    assert_eq!(batches.len(), 1, "{batches:?}");
    assert_eq!((&batches[0]["records"], &batches[0]["bytes"]), (&json!(3), &json!("37035")));
    place.upstreams.clear_faults().await.unwrap();
    place
}

/// Settles all; then everything is in the table once, nothing is held, and copies of it add nothing.
async fn settles(mut place: Place, args: &[&str], word: &str, rows: i64) {
    let told = place.s3audit(args).await;
    assert_eq!(told.status, 0, "{}{}", told.stdout, told.stderr);
    assert!(told.stdout.contains(word), "{}", told.stdout);
    assert_eq!(held(&place).await, [] as [Value; 0]);
    place.post(0..3, USER).await;
    place.delivered().await;
    assert_eq!(place.rows().await, (rows, rows));
}

#[tokio::test]
async fn an_answer_lost_after_the_commit_is_proven_by_its_job() {
    let place = hold(json!({"target": "execution", "times": 1, "reset": "after_commit"})).await;
    settles(place, &["held", "settle"], "counts as delivered", 3).await;
}

#[tokio::test]
async fn a_job_that_failed_after_the_commit_is_proven_by_its_rows() {
    let place = hold(json!({"target": "execution", "times": 1, "job_failed_after_commit": true})).await;
    settles(place, &["held", "settle"], "counts as delivered", 3).await;
}

#[tokio::test]
async fn a_request_that_never_arrived_is_delivered_once_a_later_batch_shows_it() {
    let mut place = hold(json!({"target": "execution", "times": 1, "reset": "after_request"})).await;
    let told = place.s3audit(&["held", "settle", "--older-than", "0"]).await;
    assert_eq!((told.status, told.stdout.contains("no later batch")), (1, true), "{}", told.stdout);
    place.post(3..4, USER).await;
    place.delivered().await;
    let told = place.s3audit(&["held", "settle"]).await;
    assert_eq!((told.status, told.stdout.contains("--older-than")), (1, true), "{}", told.stdout);
    settles(place, &["held", "settle", "--older-than", "0"], "3 delivered", 4).await;
}

#[tokio::test]
async fn a_batch_is_dropped_or_sent_again_only_when_asked_for() {
    let place = hold(json!({"target": "execution", "times": 1, "reset": "after_commit"})).await;
    let batch = held(&place).await[0]["batch"].as_str().unwrap().to_owned();
    let refused = place.s3audit(&["held", "drop", &batch]).await;
    assert_eq!((refused.status, refused.stderr.contains("--yes")), (64, true), "{}", refused.stderr);
    assert_eq!(place.s3audit(&["held", "resend"]).await.status, 64);
    settles(place, &["held", "drop", "--yes", &batch], "dropped", 3).await;

    let place = hold(json!({"target": "execution", "times": 1, "reset": "after_request"})).await;
    settles(place, &["held", "resend", "--all"], "3 delivered", 3).await;
}
