//! What a real MinIO sent, posted again as it came: headers, Content-Type and bodies.

use e2e::fixture::Rows;
use e2e::receiver::TOKEN;
use e2e::recording::{Message, folder};
use e2e::{Metering, Receiver};
use serde_json::Value;

use super::{accounts, receiver};

/// The cases with downloads in them.
const DOWNLOADS: [&str; 9] = [
    "aborted",
    "direct",
    "item-unicode",
    "key-percent",
    "key-plus",
    "key-spaces",
    "key-unicode",
    "parallel-parts",
    "ranged",
];
const AUDIT: [&str; 3] = ["batch-1", "batch-100", "queue-dir"];

/// Every recording of `mode`.
fn all(mode: &str) -> Vec<Message> {
    let mut cases: Vec<_> = std::fs::read_dir(folder().join(mode)).unwrap().map(|file| file.unwrap().path()).collect();
    cases.sort();
    let read =
        |case: &std::path::PathBuf| Message::recorded(mode, case.file_stem().unwrap().to_str().unwrap()).unwrap();
    cases.iter().flat_map(read).collect()
}

fn entries(messages: &[Message]) -> u64 {
    let lines = |message: &Message| String::from_utf8(message.body.clone()).unwrap().lines().count() as u64;
    messages.iter().map(lines).sum()
}

/// The rows that must come of these cases, taken out of the entries by hand.
fn rows(cases: &[&str]) -> Rows {
    let mut rows = Rows::new();
    for case in cases {
        for message in Message::recorded("batch-1", case).unwrap() {
            let entry: Value = serde_json::from_slice(&message.body).unwrap();
            let id = |name: &str| entry["requestQuery"][name].as_str().unwrap().to_owned();
            let path = format!("stac/collections/{}/items/{}", id("collectionId"), id("itemId"));
            let time = entry["time"].as_str().unwrap().get(..19).unwrap().to_owned();
            let row = (id("userId"), id("collectionId"), path, time, entry["api"]["tx"].as_i64().unwrap());
            *rows.entry(row).or_default() += 1;
        }
    }
    rows
}

/// Posts them as MinIO did, with this receiver's token.
async fn send(receiver: &Receiver, messages: &[Message]) {
    for message in messages {
        let mut request = receiver.client().post(receiver.url("/auditlogs/processor")).body(message.body.clone());
        for (name, value) in message.headers.iter().filter(|(name, _)| name != "authorization") {
            request = request.header(name, value);
        }
        let answer = request.header("authorization", format!("Bearer {TOKEN}")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
}

fn billed() -> Rows {
    let mut cases = DOWNLOADS.to_vec();
    cases.push("whole");
    rows(&cases)
}

#[tokio::test]
async fn recordings_of_every_mode_become_the_same_rows() {
    for mode in AUDIT {
        let (receiver, metering) = receiver().await;
        let messages = all(mode);
        send(&receiver, &messages).await;
        let names = ["records_total", "downloads_total", "delivered_total", "quarantined_total"];
        assert_eq!(accounts(&receiver, names).await, [entries(&messages), 17, 17, 1], "{mode}");
        assert_eq!(metering.rows().await.unwrap(), billed(), "{mode}");
        assert_nothing_leaked(&receiver, &metering);
    }
}

#[tokio::test]
async fn the_same_request_in_every_mode_is_billed_once() {
    let (receiver, metering) = receiver().await;
    for mode in AUDIT {
        send(&receiver, &all(mode)).await;
        receiver.settled().await.unwrap();
    }
    let notifications = all("notification");
    send(&receiver, &notifications).await;
    let names = ["downloads_total", "delivered_total", "duplicates_total", "skipped_total{reason=\"notification\"}"];
    assert_eq!(accounts(&receiver, names).await, [17, 17, 34, entries(&notifications)]);
    assert_eq!(metering.rows().await.unwrap(), billed());
}

/// The one entry that is quarantined keeps its shape, without what opened the object.
fn assert_nothing_leaked(receiver: &Receiver, metering: &Metering) {
    let lines = metering.quarantined().unwrap();
    assert_eq!(lines.len(), 1);
    let query = &lines[0]["record"]["requestQuery"];
    assert_eq!(
        (&lines[0]["reason"], query["X-Amz-Signature"].as_str()),
        (&"invalid_user_id".into(), Some("[removed]"))
    );
    for secret in ["6f0c4a52-0b5f-4f3a-9a86-2f6d7c1e8b30", "203.0.113.7", "X-Amz-Signature"] {
        assert!(!receiver.log().contains(secret), "{secret} in {}", receiver.log());
    }
}
