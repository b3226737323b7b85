//! Many senders, a slow upstream, the end, and the start after it.

use std::time::{Duration, Instant};

use e2e::Get;
use e2e::fixture::{lines, post_of};
use e2e::receiver::sum;
use serde_json::json;

use super::{accounts, counts, receiver, receiver_with};

/// What a stop may take at most.
const STOP: Duration = Duration::from_secs(25);

#[tokio::test]
async fn sixteen_senders_with_one_entry_each_make_few_posts() {
    let (receiver, metering) = receiver().await;
    // While the first batch is under way, the others gather.
    metering.upstreams().fault(&json!({"target": "execution", "delay_ms": 300})).await.unwrap();
    let gets = Get::many(1..=16);
    let mut sending = tokio::task::JoinSet::new();
    for get in &gets {
        let request = receiver.client().post(receiver.url("/auditlogs/processor"));
        let request = request.header("authorization", e2e::receiver::TOKEN).body(lines(&[get.minio()]));
        sending.spawn(async move { request.send().await.unwrap().status() });
    }
    for status in sending.join_all().await {
        assert_eq!(status, 200);
    }
    assert_eq!(accounts(&receiver, ["records_total", "delivered_total"]).await, [16, 16]);
    let posts = metering.posts().await.unwrap();
    assert!(posts <= 4, "{posts} requests for 16 entries");
    metering.has_exactly(&gets).await.unwrap();
}

#[tokio::test]
async fn a_dead_upstream_does_not_slow_the_sender() {
    let (receiver, metering) = receiver().await;
    metering.upstreams().fault(&json!({"target": "execution", "status": 503})).await.unwrap();
    let gets = Get::many(1..=20);
    let start = Instant::now();
    for get in &gets {
        assert_eq!(receiver.post(lines(&[get.minio()])).await.unwrap(), 200);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let metrics = receiver.metrics().await.unwrap();
    assert_eq!(counts(&metrics, ["pending", "spool_entries", "delivered_total"]), [20, 20, 0]);
    assert!(sum(&metrics, "s3audit_spool_bytes") > 0.0);
    let ready = receiver.client().get(receiver.url("/ready")).send().await.unwrap();
    assert_eq!(ready.status(), 200, "an upstream that fails is no reason not to be ready");
    metering.upstreams().clear_faults().await.unwrap();
    assert_eq!(accounts(&receiver, ["delivered_total"]).await, [20]);
    metering.has_exactly(&gets).await.unwrap();
}

#[tokio::test]
async fn a_refused_record_is_quarantined_and_its_neighbours_are_delivered() {
    let (receiver, metering) = receiver().await;
    let gets = Get::many(1..=64);
    let trips = json!({"target": "execution", "entry_unreadable": true, "containing": format!("{}|", gets[40].item)});
    metering.upstreams().fault(&trips).await.unwrap();
    assert_eq!(receiver.post(post_of(&gets)).await.unwrap(), 200);
    let names = ["records_total", "downloads_total", "delivered_total", "quarantined_total{reason=\"rejected\"}"];
    assert_eq!(accounts(&receiver, names).await, [64, 63, 63, 1]);
    let good: Vec<Get> = gets.iter().filter(|get| **get != gets[40]).cloned().collect();
    metering.has_exactly(&good).await.unwrap();
    assert_eq!(metering.quarantined().unwrap().len(), 1);
}

#[tokio::test]
async fn a_stop_with_a_hanging_upstream_ends_in_time_and_keeps_the_rest() {
    let (mut receiver, metering) = receiver_with(&[("BATCH_MAX_RECORDS", "3")]).await;
    let gets = Get::many(1..=10);
    metering.upstreams().fault(&json!({"target": "execution", "hang": true})).await.unwrap();
    assert_eq!(receiver.post(post_of(&gets)).await.unwrap(), 200);
    // Under way: the token is there, and the request has gone out.
    let start = Instant::now();
    while metering.posts().await.unwrap() == 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", receiver.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let start = Instant::now();
    let status = receiver.process().terminate(STOP).await.unwrap();
    assert_eq!(status.code(), Some(0), "{status}\n{}", receiver.log());
    assert!(start.elapsed() < STOP);

    metering.upstreams().clear_faults().await.unwrap();
    receiver.restart().await.unwrap();
    let metrics = receiver.settled().await.unwrap();
    // What was sent and not answered is nobody's to know; everything else is delivered.
    let [delivered, held] = counts(&metrics, ["delivered_total", "held"]);
    assert_eq!((delivered, held), (7, 3), "{}", receiver.log());
    metering.has_exactly(&gets[3..]).await.unwrap();
    assert_eq!(metering.held().unwrap().len(), 1);
}

#[tokio::test]
async fn what_was_not_sent_is_delivered_after_a_restart() {
    let (mut receiver, metering) = receiver().await;
    metering.upstreams().fault(&json!({"target": "auth", "status": 503})).await.unwrap();
    let gets = Get::many(1..=50);
    assert_eq!(receiver.post(post_of(&gets)).await.unwrap(), 200);
    assert_eq!(receiver.process().terminate(STOP).await.unwrap().code(), Some(0));
    metering.has_exactly(&[]).await.unwrap();
    metering.upstreams().clear_faults().await.unwrap();
    receiver.restart().await.unwrap();
    assert_eq!(accounts(&receiver, ["records_total", "delivered_total"]).await, [50, 50]);
    metering.has_exactly(&gets).await.unwrap();
}

#[tokio::test]
async fn what_was_taken_survives_a_kill_and_is_known_when_it_comes_again() {
    let (mut receiver, metering) = receiver().await;
    metering.upstreams().fault(&json!({"target": "auth", "status": 503})).await.unwrap();
    let gets = Get::many(1..=50);
    assert_eq!(receiver.post(post_of(&gets)).await.unwrap(), 200);
    receiver.process().kill().unwrap();
    metering.upstreams().clear_faults().await.unwrap();
    receiver.restart().await.unwrap();
    assert_eq!(receiver.post(post_of(&gets)).await.unwrap(), 200);
    assert_eq!(accounts(&receiver, ["delivered_total", "duplicates_total"]).await, [50, 50]);
    metering.has_exactly(&gets).await.unwrap();
}

#[tokio::test]
async fn an_idle_receiver_stops_at_once() {
    let (mut receiver, _metering) = receiver().await;
    let start = Instant::now();
    assert_eq!(receiver.process().terminate(STOP).await.unwrap().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
}
