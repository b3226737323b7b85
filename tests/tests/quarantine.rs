//! Records out of quarantine: listed, mended, and delivered once, beside a running receiver.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, which fail by a panic")]

mod cli;

use cli::{Place, Told, USER};
use serde_json::{Value, json};

fn tally(told: &Told) -> Value {
    serde_json::from_str(told.stderr.lines().last().unwrap()).unwrap()
}

#[tokio::test]
async fn a_mended_record_is_delivered_once_however_often_it_is_replayed() {
    let mut place = Place::start().await;
    place.post(0..2, "nobody").await;
    place.post(2..3, USER).await;
    place.delivered().await;
    assert_eq!(place.rows().await, (1, 1));

    let told = place.s3audit(&["quarantine", "list", "--json"]).await;
    let groups: Vec<Value> = told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(groups.len(), 1, "{}", told.stdout);
    assert_eq!((&groups[0]["reason"], &groups[0]["records"]), (&json!("invalid_user_id"), &json!(2)));
    let other_day = place.s3audit(&["quarantine", "list", "--day", "2001-01-01"]).await;
    assert_eq!((other_day.status, other_day.stdout.as_str()), (0, ""));

    // Not mended: judged as before, and nothing is sent.
    let told = place.s3audit(&["quarantine", "replay"]).await;
    assert_eq!((told.status, &tally(&told)["quarantined"]), (0, &json!({"invalid_user_id": 2})));
    let set = format!("userId={USER}");
    assert_eq!(place.s3audit(&["quarantine", "replay", "--set", &set]).await.status, 64);
    let id = "d-1/R0/stac/a.tif";
    let bad = place.s3audit(&["quarantine", "replay", "--id", id, "--set", "userId=hunter2"]).await;
    assert_eq!((bad.status, bad.stderr.contains("hunter2")), (64, false), "{}", bad.stderr);

    let args = ["quarantine", "replay", "--id", id, "--set", &set];
    let told = place.s3audit(&args).await;
    assert_eq!((told.status, &tally(&told)["delivered"]), (0, &json!(1)), "{}", told.stderr);
    let told = place.s3audit(&args).await;
    assert_eq!((told.status, &tally(&told)["records"]), (0, &json!(0)), "{}", told.stderr);
    assert_eq!(place.rows().await, (2, 2));

    let left = place.s3audit(&["quarantine", "list", "--records"]).await;
    assert_eq!(left.stdout.lines().count(), 1, "{}", left.stdout);
    assert!(left.stdout.contains("R1") && !left.stdout.contains("5ecre7"), "{}", left.stdout);

    // The mended download comes again by itself: the ledger knows it.
    place.post(0..1, USER).await;
    place.delivered().await;
    assert_eq!(place.rows().await, (2, 2));
}
