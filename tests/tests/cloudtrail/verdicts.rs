//! What each record counts as, exactly; and what quarantine keeps of it.

use e2e::fixture::{COOKIE, SIGNATURE, log};
use e2e::{Get, Moto, aws};
use serde_json::{Value, json};

use super::{Trail, picked};

/// Changes one field, by its JSON pointer; null stays a null.
fn with(number: u64, pointer: &str, value: Value) -> Value {
    let mut record = Get::new(number).cloudtrail();
    if let Some(field) = record.pointer_mut(pointer) {
        *field = value;
    } else {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        record.pointer_mut(parent).unwrap()[name] = value;
    }
    record
}

fn without(number: u64, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let mut record = Get::new(number).cloudtrail();
    record.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    record
}

fn skipped() -> Vec<(&'static str, Value)> {
    let mut anonymous = without(40, "/requestParameters/userId");
    anonymous["requestParameters"]["userid"] = json!("  ");
    let mut signed_v2 = without(41, "/requestParameters/X-Amz-Expires");
    signed_v2["requestParameters"]["Expires"] = json!("1760000000");
    let mut no_ids = without(42, "/requestParameters/collectionId");
    no_ids["requestParameters"]["itemId"] = json!(null);
    vec![
        ("not_presigned_get", with(30, "/eventSource", json!("ec2.amazonaws.com"))),
        ("not_presigned_get", with(31, "/eventName", json!("HeadObject"))),
        ("not_presigned_get", with(32, "/eventCategory", json!("Insight"))),
        ("not_presigned_get", with(33, "/managementEvent", json!(true))),
        ("not_presigned_get", with(34, "/additionalEventData/AuthenticationMethod", json!("AuthHeader"))),
        ("not_presigned_get", without(35, "/requestParameters/X-Amz-Expires")),
        ("not_presigned_get", with(36, "/requestParameters", json!(null))),
        ("failed_request", with(37, "/errorCode", json!("AccessDenied"))),
        ("failed_request", with(38, "/additionalEventData/httpStatusCode", json!(404))),
        ("no_ids", no_ids),
        ("unsigned_ids", signed_v2),
        ("no_user", anonymous),
        ("no_user", without(43, "/requestParameters/userId")),
    ]
}

fn quarantined() -> Vec<(&'static str, Value)> {
    vec![
        ("malformed", json!("not an object")),
        ("malformed", json!(17)),
        ("conflicting_ids", with(50, "/requestParameters/x-itemId", json!("another scene"))),
        ("incomplete_ids", without(51, "/requestParameters/itemId")),
        ("incomplete_ids", without(52, "/requestParameters/collectionId")),
        ("invalid_user_id", with(53, "/requestParameters/userId", json!("nobody"))),
        ("invalid_collection_id", with(54, "/requestParameters/collectionId", json!(" 0-0-0-0-0"))),
        ("invalid_item_id", with(55, "/requestParameters/itemId", json!("a|b"))),
        ("invalid_bytes", with(56, "/additionalEventData/bytesTransferredOut", json!("12"))),
        ("invalid_bytes", with(57, "/additionalEventData/bytesTransferredOut", json!(-1))),
        ("invalid_bytes", with(58, "/additionalEventData/bytesTransferredOut", json!(12.5))),
        ("invalid_bytes", without(59, "/additionalEventData/bytesTransferredOut")),
        ("invalid_time", with(60, "/eventTime", json!("2026-03-10T08:00:00+01:00"))),
        ("updated_data", with(61, "/addendum", json!({"reason": "UPDATED_DATA", "originalEventID": "x"}))),
        ("no_identity", without(62, "/eventID")),
    ]
}

/// How often each reason is in `records`.
fn counted(records: &[(&'static str, Value)]) -> Value {
    let mut counts = serde_json::Map::new();
    for (reason, _) in records {
        let count = counts.get(*reason).and_then(Value::as_u64).unwrap_or(0);
        counts.insert((*reason).to_owned(), json!(count + 1));
    }
    counts.into()
}

#[tokio::test]
async fn each_reason_is_counted_exactly_and_neighbours_are_delivered() {
    let trail = Trail::new().await;
    let (skipped, quarantined) = (skipped(), quarantined());
    let mut records = vec![Get::new(1).cloudtrail()];
    records.extend(skipped.iter().chain(&quarantined).map(|(_, record)| record.clone()));
    records.push(Get::new(2).cloudtrail());
    trail.put("mixed.json", log(&records)).await;
    let tally = trail.tally(&trail.event(&["mixed.json"])).await;
    assert_eq!(tally["records"], records.len());
    assert_eq!(tally["skipped"], counted(&skipped));
    assert_eq!(tally["quarantined"], counted(&quarantined));
    assert_eq!(picked(&tally, &["downloads", "delivered"]), json!({"downloads": 2, "delivered": 2}));
    trail.has_exactly(&Get::many([1, 2])).await;

    let lines = trail.metering.quarantined().unwrap();
    assert_eq!(lines.len(), quarantined.len());
    for (line, (number, (reason, record))) in lines.iter().zip((2 + skipped.len()..).zip(&quarantined)) {
        let mut keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["detail", "id", "reason", "record", "seen_at", "source"]);
        assert_eq!(line["reason"], *reason, "{line}");
        assert_eq!(line["source"], format!("s3://{}/mixed.json#{number}", trail.bucket));
        assert_eq!(line["id"], record["eventID"], "{line}");
        assert_eq!(line["record"], *record);
        assert!(!line["detail"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn ids_are_found_in_any_spelling_and_whole_floats_are_exact() {
    let trail = Trail::new().await;
    let gets = Get::many(1..=3);
    let mut spelled = without(1, "/requestParameters/itemId");
    spelled["requestParameters"]["X-ITEMID"] = json!(gets[0].item);
    spelled["requestParameters"]["collectionid"] = json!(gets[0].collection.to_uppercase());
    let float = log(&[with(2, "/additionalEventData/bytesTransferredOut", json!(1))]);
    let float = String::from_utf8(float).unwrap();
    let float = float.replace("\"bytesTransferredOut\":1,", &format!("\"bytesTransferredOut\":{}.0,", gets[1].bytes));
    let float = float.replace("\"bytesTransferredOut\":1}", &format!("\"bytesTransferredOut\":{}.0}}", gets[1].bytes));
    trail.put("spelled", log(&[spelled, with(3, "/additionalEventData/httpStatusCode", json!(206))])).await;
    trail.put("float", float).await;
    assert_eq!(trail.tally(&trail.event(&["spelled", "float"])).await["delivered"], 3);
    trail.has_exactly(&gets).await;
}

#[tokio::test]
async fn parameter_names_and_an_anonymous_user_are_configuration() {
    let anonymous = "99999999-9999-4999-8999-999999999999";
    let trail = Trail::with(|_| {
        vec![
            ("USER_ID_PARAM", "who".to_owned()),
            ("ITEM_ID_PARAM", "what".to_owned()),
            ("ANONYMOUS_USER_ID", anonymous.to_owned()),
        ]
    })
    .await;
    let mut gets = Get::many(1..=2);
    let mut named = gets[0].cloudtrail();
    named["requestParameters"]["x-who"] = named["requestParameters"]["userId"].take();
    named["requestParameters"]["what"] = named["requestParameters"]["itemId"].take();
    let mut unnamed = without(2, "/requestParameters/userId");
    unnamed["requestParameters"]["what"] = unnamed["requestParameters"]["itemId"].take();
    gets[1].user = anonymous.to_owned();
    trail.put("k", log(&[named, unnamed])).await;
    assert_eq!(trail.tally(&trail.event(&["k"])).await["delivered"], 2);
    trail.has_exactly(&gets).await;
}

#[tokio::test]
async fn quarantine_in_a_bucket_keeps_no_credentials() {
    let bucket = format!("quarantine-{}", uuid::Uuid::new_v4());
    aws::create_bucket(&Moto::shared().await.unwrap().s3(), &bucket).await.unwrap();
    let trail = Trail::with(|_| vec![("QUARANTINE", format!("s3://{bucket}/kept/here"))]).await;
    let mut record = without(1, "/requestParameters/itemId");
    record["requestParameters"]["X-Amz-Signature"] = json!(SIGNATURE);
    record["requestParameters"]["X-Amz-Credential"] = json!("AKIACREDENTIAL/20260310/eu-central-1/s3/aws4_request");
    record["requestParameters"]["X-Amz-Security-Token"] = json!("S3CURITYT0KEN");
    record["requestParameters"]["Cookie"] = json!(COOKIE);
    trail.put("k", log(&[record, Get::new(2).cloudtrail()])).await;
    assert_eq!(trail.tally(&trail.event(&["k"])).await["quarantined"], json!({"incomplete_ids": 1}));

    let keys = aws::list_keys(&trail.s3, &bucket, "").await.unwrap();
    let [key] = keys.as_slice() else { panic!("{keys:?}") };
    let parts: Vec<&str> = key.split('/').collect();
    let ["kept", "here", year, month, day, file] = parts.as_slice() else { panic!("{key}") };
    assert_eq!((year.len(), month.len(), day.len()), (4, 2, 2), "{key}");
    let name = file.strip_suffix(".jsonl").unwrap();
    assert!(uuid::Uuid::try_parse(name).is_ok(), "{key}");
    let text = aws::get_object(&trail.s3, &bucket, key).await.unwrap();
    let text = std::str::from_utf8(&text).unwrap();
    assert_eq!(text.lines().count(), 1);
    let line: Value = serde_json::from_str(text).unwrap();
    assert_eq!(line["source"], format!("s3://{}/k#1", trail.bucket));
    assert_eq!(line["record"]["requestParameters"]["collectionId"], Get::new(1).collection);
    for secret in [SIGNATURE, "AKIACREDENTIAL", "S3CURITYT0KEN", COOKIE] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn what_cannot_be_quarantined_is_not_acknowledged() {
    let trail = Trail::with(|_| vec![("QUARANTINE", "s3://no-such-bucket-for-quarantine/x".to_owned())]).await;
    trail.put("k", log(&[Get::new(1).cloudtrail(), json!(3)])).await;
    let message = trail.failure(&trail.event(&["k"])).await;
    assert!(message.contains("quarantine") && message.contains("no-such-bucket-for-quarantine"), "{message}");
    assert_eq!(trail.logged().pop().unwrap()["objects"], json!({"read": 0, "skipped": 0, "failed": 1}));
    trail.has_exactly(&[]).await;
}
