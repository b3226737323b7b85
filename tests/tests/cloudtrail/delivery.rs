//! What becomes of downloads when the upstream refuses, fails, or does not say.

use e2e::fixture::{CLIENT_ADDRESS, adds_up, log, sqs_event};
use e2e::metering::CLIENT_SECRET;
use e2e::{Get, Redis};
use serde_json::json;

use super::{Trail, picked};

#[tokio::test]
async fn what_is_pending_fails_the_invocation_and_comes_once_with_the_next() {
    let trail = Trail::new().await;
    let gets = Get::many(1..=30);
    trail.log("one", &gets[..10]).await;
    trail.log("other", &gets[10..]).await;
    let event = trail.event(&["one", "other"]);
    trail.metering.upstreams().fault(&json!({"target": "execution", "status": 503})).await.unwrap();
    let message = trail.failure(&event).await;
    assert!(message.contains("downloads are pending") && message.contains("503"), "{message}");
    let tally = trail.logged().pop().unwrap();
    assert!(adds_up(&tally), "{tally}");
    assert_eq!(
        picked(&tally, &["downloads", "pending", "delivered"]),
        json!({"downloads": 30, "pending": 30, "delivered": 0})
    );
    trail.has_exactly(&[]).await;

    trail.metering.upstreams().clear_faults().await.unwrap();
    assert_eq!(trail.tally(&event).await["delivered"], 30);
    trail.has_exactly(&gets).await;
}

#[tokio::test]
async fn messages_that_are_pending_come_again_and_deliver_only_what_is_missing() {
    let redis = Redis::start().await.unwrap();
    let trail = Trail::with(|_| vec![("LEDGER_URL", redis.url()), ("BATCH_MAX_RECORDS", "4".to_owned())]).await;
    let gets = Get::many(1..=10);
    trail.log("k", &gets).await;
    let event = sqs_event(&[("m1", trail.event(&["k"]).to_string())]);
    // The first batch passes.
    trail.metering.upstreams().fault(&json!({"target": "execution", "after": 1, "status": 429})).await.unwrap();
    let answer = trail.function.invoke_within(&event, super::SHORT).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "m1"}]}));
    trail.has_exactly(&gets[..4]).await;

    trail.metering.upstreams().clear_faults().await.unwrap();
    trail.function.recycle().await;
    assert_eq!(trail.invoke(&event).await, json!({"batchItemFailures": []}));
    let tally = trail.logged().pop().unwrap();
    assert_eq!(picked(&tally, &["delivered", "duplicates"]), json!({"delivered": 6, "duplicates": 4}));
    trail.has_exactly(&gets).await;
}

#[tokio::test]
async fn an_answer_lost_after_the_commit_is_held_and_counts_as_dealt_with() {
    let trail = Trail::new().await;
    let gets = Get::many(1..=5);
    trail.log("k", &gets).await;
    let lost = json!({"target": "execution", "times": 1, "reset": "after_commit"});
    trail.metering.upstreams().fault(&lost).await.unwrap();
    let event = trail.event(&["k"]);
    let tally = trail.tally(&event).await;
    assert_eq!(picked(&tally, &["downloads", "held", "pending"]), json!({"downloads": 5, "held": 5, "pending": 0}));
    let held = trail.metering.held().unwrap();
    let [batch] = held.as_slice() else { panic!("{held:?}") };
    assert_eq!(batch["lines"].as_array().unwrap().len(), 5, "{batch}");
    assert!(trail.function.log().contains("held"), "{}", trail.function.log());

    let again = trail.tally(&event).await;
    assert_eq!(picked(&again, &["downloads", "duplicates"]), json!({"downloads": 0, "duplicates": 5}));
    trail.has_exactly(&gets).await;
}

#[tokio::test]
async fn one_refused_record_of_a_thousand_is_quarantined_and_the_others_delivered() {
    let trail = Trail::new().await;
    let gets = Get::many(1..=1000);
    trail.log("k", &gets).await;
    let bad = &gets[617];
    let trips = json!({"target": "execution", "entry_unreadable": true, "containing": format!("{}|", bad.item)});
    trail.metering.upstreams().fault(&trips).await.unwrap();
    let tally = trail.tally(&trail.event(&["k"])).await;
    let expected = json!({"records": 1000, "downloads": 999, "delivered": 999, "quarantined": {"rejected": 1}});
    assert_eq!(picked(&tally, &["records", "downloads", "delivered", "quarantined"]), expected);
    let good: Vec<Get> = gets.iter().filter(|get| *get != bad).cloned().collect();
    trail.has_exactly(&good).await;
    let posts = trail.metering.posts().await.unwrap();
    assert!(posts <= 1 + 2 * 10, "{posts} requests");

    let lines = trail.metering.quarantined().unwrap();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(line["reason"], "rejected");
    assert_eq!(line["source"], format!("s3://{}/k#618", trail.bucket));
    assert_eq!(line["record"]["itemId"], bad.item);
    assert!(line["detail"].as_str().unwrap().contains("Unexpected error while processing log entry"), "{line}");
}

#[tokio::test]
async fn a_refusal_that_is_no_record_s_fault_quarantines_nothing() {
    for (fault, said) in [
        (json!({"target": "execution", "status": 404}), "PROCESS_API_URL: no such process"),
        (
            json!({"target": "execution", "status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}),
            "PROCESS_API_URL: redirects",
        ),
        (json!({"target": "execution", "status": 401}), "AUTH_ROLE"),
        (json!({"target": "auth", "status": 401}), "CLIENT_ID"),
    ] {
        let trail = Trail::new().await;
        trail.log("k", &Get::many(1..=3)).await;
        trail.metering.upstreams().fault(&fault).await.unwrap();
        let message = trail.failure(&trail.event(&["k"])).await;
        assert!(message.contains(said), "{fault}: {message}");
        assert_eq!(trail.logged().pop().unwrap()["pending"], 3);
        assert!(trail.metering.quarantined().unwrap().is_empty() && trail.metering.held().unwrap().is_empty());
        trail.metering.upstreams().clear_faults().await.unwrap();
        assert_eq!(trail.tally(&trail.event(&["k"])).await["delivered"], 3, "{fault}");
        trail.has_exactly(&Get::many(1..=3)).await;
    }
}

#[tokio::test]
async fn no_secret_and_nobody_s_data_is_in_the_log() {
    let trail = Trail::new().await;
    let gets = Get::many(1..=3);
    let mut broken = Get::new(4).cloudtrail();
    broken["additionalEventData"]["bytesTransferredOut"] = json!("x");
    let mut records: Vec<_> = gets.iter().map(Get::cloudtrail).collect();
    records.push(broken);
    trail.put("k", log(&records)).await;
    trail.metering.upstreams().fault(&json!({"target": "execution", "status": 503})).await.unwrap();
    trail.failure(&trail.event(&["k"])).await;
    trail.metering.upstreams().clear_faults().await.unwrap();
    let faults = json!({"target": "execution", "times": 1, "reset": "after_commit"});
    trail.metering.upstreams().fault(&faults).await.unwrap();
    trail.tally(&trail.event(&["k"])).await;
    let log = trail.function.log();
    assert_eq!(trail.logged().len(), 2, "{log}");
    assert!(trail.logged().iter().all(adds_up));
    let users = gets.iter().map(|get| get.user.as_str());
    let items = gets.iter().map(|get| get.item.as_str());
    // Every JSON Web Token begins like this.
    for secret in [CLIENT_SECRET, CLIENT_ADDRESS, "eyJ", "Bearer"].into_iter().chain(users).chain(items) {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
