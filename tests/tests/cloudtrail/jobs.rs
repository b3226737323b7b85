//! A process registered as asynchronous: it answers before it knows.

use e2e::Get;
use e2e::metering::ASYNC_PROCESS;
use serde_json::json;

use super::{Trail, picked};

async fn trail(more: &[(&'static str, &str)]) -> Trail {
    Trail::with(|metering| {
        let mut all = vec![("PROCESS_API_URL", metering.upstreams().url(ASYNC_PROCESS))];
        all.extend(more.iter().map(|&(name, value)| (name, value.to_owned())));
        all
    })
    .await
}

#[tokio::test]
async fn a_job_is_followed_to_its_success() {
    let trail = trail(&[("JOB_AUTH_ROLE", "provider"), ("BATCH_MAX_RECORDS", "3")]).await;
    let gets = Get::many(1..=7);
    trail.log("k", &gets).await;
    let answer = trail.invoke(&trail.event(&["k"])).await;
    assert_eq!((&answer["status"], &answer["tally"]["delivered"]), (&json!("completed"), &json!(7)));
    trail.has_exactly(&gets).await;
}

#[tokio::test]
async fn a_job_that_fails_by_one_record_is_bisected() {
    let trail = trail(&[("JOB_AUTH_ROLE", "provider")]).await;
    let gets = Get::many(1..=6);
    trail.log("k", &gets).await;
    let trips = json!({"target": "execution", "entry_unreadable": true, "containing": format!("{}|", gets[3].item)});
    trail.metering.upstreams().fault(&trips).await.unwrap();
    let tally = trail.tally(&trail.event(&["k"])).await;
    assert_eq!(picked(&tally, &["delivered", "quarantined"]), json!({"delivered": 5, "quarantined": {"rejected": 1}}));
    let good: Vec<Get> = gets.iter().filter(|get| **get != gets[3]).cloned().collect();
    trail.has_exactly(&good).await;
}

#[tokio::test]
async fn without_a_role_for_jobs_the_first_batch_is_held_and_the_error_names_the_variable() {
    let trail = trail(&[("BATCH_MAX_RECORDS", "2")]).await;
    let gets = Get::many(1..=6);
    trail.log("k", &gets).await;
    let message = trail.failure(&trail.event(&["k"])).await;
    assert!(message.contains("JOB_AUTH_ROLE"), "{message}");
    let tally = trail.logged().pop().unwrap();
    assert_eq!(picked(&tally, &["delivered", "held", "pending"]), json!({"delivered": 0, "held": 2, "pending": 4}));
    assert_eq!(trail.metering.posts().await.unwrap(), 1);
}

#[tokio::test]
async fn a_single_batch_held_for_want_of_a_role_is_told_too() {
    let trail = trail(&[]).await;
    trail.log("k", &Get::many(1..=2)).await;
    assert_eq!(trail.tally(&trail.event(&["k"])).await["held"], 2);
    assert!(trail.function.log().contains("JOB_AUTH_ROLE"), "{}", trail.function.log());
}
