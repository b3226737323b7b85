//! The standalone receiver: audit entries, notifications and RustFS's envelopes.

use e2e::fixture::lines;
use serde_json::json;

use super::{Site, billed, entry, envelope, notification, shown};

#[tokio::test]
async fn an_audit_entry_is_billed_and_shown() {
    let site = Site::new().await;
    let receiver = site.receiver(&[]).await;
    let entries = [entry(1, |_| {})];
    assert_eq!(receiver.post(lines(&entries)).await.unwrap(), 200);
    assert_eq!(shown(&receiver, 1).await, json!({"recorded": 1}));
    receiver.settled().await.unwrap();
    site.metering.has_exactly(&billed([1], &entries)).await.unwrap();
    let event = site.events().await.remove(0);
    assert_eq!(event["url"], "https://data.example.org/downloads/v0.1/spatial/parquet/italy.parquet");
    assert_eq!(
        (&event["ip"], &event["user_agent"], &event["country"]),
        (&json!("203.0.113.77"), &json!("GDAL/3.8.4"), &json!("DE"))
    );
    let props = &event["props"];
    assert_eq!(
        (&props["method"], &props["region"], &props["version"]),
        (&json!("GDAL/QGIS"), &json!("italy"), &json!("v0.1"))
    );
    assert_eq!((&props["item"], &props["bytes"]), (&json!("scene 1"), &json!("1-10 MB")));
    assert!(!event.to_string().contains(&e2e::Get::new(1).user), "{event}");
}

#[tokio::test]
async fn reads_that_nobody_bills_are_shown_too_and_others_are_not() {
    let site = Site::new().await;
    let receiver = site.receiver(&[]).await;
    let entries = [
        entry(1, |own| own["requestQuery"] = json!({})),
        entry(2, |own| {
            own["api"]["statusCode"] = json!(404);
            own["remotehost"] = json!("203.0.113.2");
        }),
        entry(3, |own| own["api"]["name"] = json!("HeadObject")),
        entry(4, |own| own["remotehost"] = json!("10.0.0.9")),
        entry(5, |own| own["api"]["object"] = json!("readme.md")),
    ];
    assert_eq!(receiver.post(lines(&entries)).await.unwrap(), 200);
    assert_eq!(shown(&receiver, 3).await, json!({"recorded": 1, "excluded": 2}));
    let metrics = receiver.settled().await.unwrap();
    assert!(e2e::receiver::adds_up(&metrics));
    assert_eq!(site.events().await.len(), 1);
}

#[tokio::test]
async fn notifications_and_envelopes_are_shown_and_never_billed() {
    let site = Site::new().await;
    let receiver = site.receiver(&[]).await;
    let [one, other] = [entry(1, |_| {}), entry(2, |own| own["userAgent"] = json!("curl/8.5.0"))];
    let head = {
        let mut own = notification(&one);
        own["EventName"] = json!("s3:ObjectAccessed:Head");
        own
    };
    assert_eq!(receiver.post(lines(&[notification(&one), envelope(&other), head])).await.unwrap(), 200);
    assert_eq!(shown(&receiver, 2).await, json!({"recorded": 2}));
    receiver.settled().await.unwrap();
    site.metering.has_exactly(&[]).await.unwrap();
}

#[tokio::test]
async fn audit_entry_and_notification_of_one_read_are_one_event() {
    let site = Site::new().await;
    let receiver = site.receiver(&[]).await;
    let entries = [entry(1, |_| {}), entry(2, |own| own["userAgent"] = json!("rclone/v1.66.0"))];
    for body in [notification(&entries[0]), entries[0].clone(), entries[1].clone(), notification(&entries[1])] {
        assert_eq!(receiver.post(body.to_string()).await.unwrap(), 200);
    }
    assert_eq!(shown(&receiver, 4).await, json!({"recorded": 2, "duplicate": 2}));
    receiver.settled().await.unwrap();
    site.metering.has_exactly(&billed([1, 2], &entries)).await.unwrap();
}

/// MinIO sends notifications at once, and audit entries in batches after a second.
#[tokio::test]
async fn an_audit_entry_a_second_after_its_notification_is_the_event() {
    let site = Site::new().await;
    let receiver = site.receiver(&[]).await;
    let entries = [entry(1, |_| {})];
    assert_eq!(receiver.post(notification(&entries[0]).to_string()).await.unwrap(), 200);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(receiver.post(lines(&entries)).await.unwrap(), 200);
    assert_eq!(shown(&receiver, 2).await, json!({"recorded": 1, "duplicate": 1}));
    let events = site.events().await;
    assert_eq!(events.len(), 1);
    let props = &events[0]["props"];
    assert_eq!((&props["bytes"], &props["item"]), (&json!("1-10 MB"), &json!("scene 1")), "{props}");
    receiver.settled().await.unwrap();
    site.metering.has_exactly(&billed([1], &entries)).await.unwrap();
}

#[tokio::test]
async fn analytics_works_alone() {
    let site = Site::new().await;
    let receiver = site.receiver(&[("PROCESS_API_URL", ""), ("LEDGER_URL", "spool:")]).await;
    assert_eq!(receiver.post(entry(1, |_| {}).to_string()).await.unwrap(), 200);
    assert_eq!(shown(&receiver, 1).await, json!({"recorded": 1}));
    let metrics = receiver.metrics().await.unwrap();
    assert_eq!(format!("{}", metrics["s3audit_downloads_total"]), "1");
    assert_eq!(site.metering.posts().await.unwrap(), 0);
}

#[tokio::test]
async fn metering_works_alone() {
    let site = Site::new().await;
    let receiver = site.receiver(&[("PLAUSIBLE_API_URL", ""), ("PLAUSIBLE_DATA_DOMAIN", "")]).await;
    let entries = [entry(1, |_| {})];
    assert_eq!(receiver.post(lines(&entries)).await.unwrap(), 200);
    receiver.settled().await.unwrap();
    site.metering.has_exactly(&billed([1], &entries)).await.unwrap();
    assert_eq!(shown(&receiver, 0).await, json!({}));
}
