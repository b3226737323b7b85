//! Plausible down, hanging or talking nonsense: metering stays exact and quick, and no event is lost or doubled without a word.

use e2e::fixture::lines;
use serde_json::{Value, json};

use super::{Site, billed, entry, shown};

fn visitors(numbers: std::ops::Range<u64>) -> Vec<Value> {
    numbers.map(|n| entry(n, |own| own["remotehost"] = json!(format!("203.0.113.{n}")))).collect()
}

/// Downloads are delivered while the events wait.
async fn metered(site: &Site, receiver: &e2e::receiver::Receiver, entries: &[Value]) {
    receiver.settled().await.unwrap();
    let numbers = 0..u64::try_from(entries.len()).unwrap();
    site.metering.has_exactly(&billed(numbers, entries)).await.unwrap();
}

#[tokio::test]
async fn a_failed_post_and_its_retry_are_one_event() {
    let site = Site::new().await;
    let receiver = site.receiver(&[]).await;
    site.fault(json!({"target": "event", "times": 2, "status": 503})).await;
    assert_eq!(receiver.post(entry(1, |_| {}).to_string()).await.unwrap(), 200);
    assert_eq!(shown(&receiver, 1).await, json!({"recorded": 1}));
    assert_eq!(site.events().await.len(), 1);
}

#[tokio::test]
async fn plausible_down_delays_nothing_and_its_events_come_later() {
    let site = Site::new().await;
    let receiver = site.receiver(&[]).await;
    site.fault(json!({"target": "event", "reset": "before"})).await;
    let entries = visitors(0..30);
    assert_eq!(receiver.post(lines(&entries)).await.unwrap(), 200);
    metered(&site, &receiver, &entries).await;
    site.metering.upstreams().clear_faults().await.unwrap();
    let told = shown(&receiver, 30).await;
    let [recorded, ambiguous] = ["recorded", "ambiguous"].map(|name| told[name].as_u64().unwrap_or(0));
    // Whether a request that was reset had arrived, nobody can know: at most those under way.
    assert!(recorded + ambiguous == 30 && ambiguous <= 8 + 4, "{told}");
    assert_eq!(site.events().await.len() as u64, recorded);
}

#[tokio::test]
async fn plausible_hanging_puts_few_events_in_doubt() {
    let site = Site::new().await;
    let receiver = site.receiver(&[("PLAUSIBLE_CONCURRENCY", "2")]).await;
    site.fault(json!({"target": "event", "times": 2, "hang": true})).await;
    let entries = visitors(0..30);
    assert_eq!(receiver.post(lines(&entries)).await.unwrap(), 200);
    metered(&site, &receiver, &entries).await;
    let told = shown(&receiver, 30).await;
    let [recorded, ambiguous] = ["recorded", "ambiguous"].map(|name| told[name].as_u64().unwrap_or(0));
    assert!(recorded + ambiguous == 30 && (1..=2).contains(&ambiguous), "{told}");
    assert_eq!(site.events().await.len() as u64, recorded);
}

#[tokio::test]
async fn garbage_is_no_record_of_an_event() {
    let site = Site::new().await;
    let receiver = site.receiver(&[]).await;
    site.fault(json!({"target": "event", "times": 3, "status": 200, "html": true})).await;
    let entries = visitors(0..5);
    assert_eq!(receiver.post(lines(&entries)).await.unwrap(), 200);
    metered(&site, &receiver, &entries).await;
    assert_eq!(shown(&receiver, 5).await, json!({"recorded": 5}));
    assert_eq!(site.events().await.len(), 5);
}

#[tokio::test]
async fn a_refused_event_is_kept_without_its_visitor() {
    let site = Site::new().await;
    let receiver = site.receiver(&[]).await;
    let body = r#"{"errors":{"props":["203.0.113.77 with GDAL/3.8.4 is not welcome"]}}"#;
    site.fault(json!({"target": "event", "times": 1, "status": 400, "body": body})).await;
    let entries = [entry(0, |_| {})];
    assert_eq!(receiver.post(lines(&entries)).await.unwrap(), 200);
    assert_eq!(shown(&receiver, 1).await, json!({"rejected": 1}));
    metered(&site, &receiver, &entries).await;
    let kept = site.metering.quarantined().unwrap();
    assert_eq!(kept.len(), 1);
    let text = kept[0].to_string();
    assert!(text.contains("is not welcome") && !text.contains("203.0.113.77") && !text.contains("GDAL"), "{text}");
}

#[tokio::test]
async fn no_log_has_a_visitor_s_address_or_user_agent() {
    let site = Site::new().await;
    let mut receiver = site.receiver(&[("RUST_LOG", "trace")]).await;
    let body = r#"{"errors":{"props":["203.0.113.77 with GDAL/3.8.4 is not welcome"]}}"#;
    site.fault(json!({"target": "event", "times": 1, "status": 400, "body": body})).await;
    let entries = [
        entry(0, |_| {}),
        entry(1, |own| own["remotehost"] = json!("10.77.0.9")),
        entry(2, |own| own["remotehost"] = json!("athena-77.example")),
        entry(3, |own| {
            own["remotehost"] = json!("203.0.113.78");
            own["userAgent"] = json!("rclone/v1.66.77");
        }),
        entry(4, |own| own["time"] = json!(super::ago(7200))),
    ];
    for entry in &entries {
        assert_eq!(receiver.post(entry.to_string()).await.unwrap(), 200);
    }
    let expected = json!({"rejected": 1, "excluded": 2, "recorded": 1, "too_late": 1});
    assert_eq!(shown(&receiver, 5).await, expected);
    site.fault(json!({"target": "event", "hang": true})).await;
    assert_eq!(
        receiver.post(entry(5, |own| own["remotehost"] = json!("203.0.113.79")).to_string()).await.unwrap(),
        200
    );
    assert_eq!(shown(&receiver, 6).await["ambiguous"], 1);
    receiver.process().terminate(std::time::Duration::from_secs(25)).await.unwrap();
    let log = receiver.log();
    // Ours has no such lines; those of libraries, which hold what they carry, are left out whatever is asked for.
    assert!(!log.contains(r#""level":"TRACE""#), "{log}");
    for secret in ["203.0.113.7", "10.77.0.9", "athena-77", "GDAL", "rclone", "is not welcome"] {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} in the log: {line:?}");
    }
}
