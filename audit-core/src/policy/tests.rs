use std::borrow::Cow;

use super::*;
use crate::event::{Backend, Ids, Visit};

const USER: &str = "0B5F1C2A-6C1E-4B7E-9C55-1D5E2F3A4B6C";
const COLLECTION: &str = "2d6c7e90-11aa-4f0b-8a55-6f7e8d9c0b1a";

fn text(text: &'static str) -> Value<'static> {
    Value::of_text(Cow::Borrowed(text))
}

fn json(json: &'static str) -> Value<'static> {
    Value::NotText(Cow::Borrowed(json.as_bytes()))
}

fn download() -> AccessEvent<'static> {
    let mut ids = Ids::default();
    ids.user.offer("userId".into(), text(USER));
    ids.collection.offer("collectionId".into(), text(COLLECTION));
    ids.item.offer("itemId".into(), text("S2A_20240701"));
    AccessEvent {
        backend: Backend::AwsS3,
        operation: Operation::GetObject,
        presigned: Presigned::SigV4,
        succeeded: true,
        ids,
        bytes: json("12345"),
        time: text("2025-10-27T10:12:30Z"),
        updates_earlier: false,
        identity: Some("event-1".into()),
        visit: Visit::default(),
    }
}

fn verdict(change: impl FnOnce(&mut AccessEvent<'static>)) -> String {
    let mut event = download();
    change(&mut event);
    match MeteringPolicy::default().classify(&event, &"s3://b/k".into(), 1) {
        Verdict::Download(download) => download.record.to_string(),
        Verdict::Skipped(reason) => reason.name().into(),
        Verdict::Quarantined(reason, _) => reason.name().into(),
    }
}

#[test]
fn a_presigned_download_is_billed() {
    let line = "0b5f1c2a-6c1e-4b7e-9c55-1d5e2f3a4b6c|2d6c7e90-11aa-4f0b-8a55-6f7e8d9c0b1a|S2A_20240701|2025-10-27T10:12:30Z|12345|aws_s3";
    assert_eq!(verdict(|_| {}), line);
    assert_eq!(
        verdict(|event| event.ids.user.offer("x-userid".into(), text("0b5f1c2a-6c1e-4b7e-9c55-1d5e2f3a4b6c"))),
        line
    );
    assert_eq!(verdict(|event| event.ids.item.offer("x-itemId".into(), text("  "))), line);
}

#[test]
fn each_test_has_its_reason() {
    type Change = fn(&mut AccessEvent<'static>);
    let cases: [(&str, Change); 18] = [
        ("notification", |event| event.operation = Operation::Notification),
        ("not_incoming", |event| event.operation = Operation::NotIncoming),
        ("not_presigned_get", |event| event.operation = Operation::Other),
        ("not_presigned_get", |event| event.presigned = Presigned::No),
        ("failed_request", |event| event.succeeded = false),
        ("unsigned_ids", |event| event.presigned = Presigned::SigV2),
        ("conflicting_ids", |event| event.ids.item.offer("x-itemId".into(), text("other"))),
        ("conflicting_ids", |event| event.ids.item.offer("ItemId".into(), text("s2a_20240701"))),
        ("incomplete_ids", |event| event.ids.item.offer("itemId".into(), text(" "))),
        ("no_user", |event| event.ids.user.offer("userId".into(), Value::Absent)),
        ("invalid_user_id", |event| event.ids.user.offer("userId".into(), json("7"))),
        ("invalid_user_id", |event| {
            event.ids.user.offer("userId".into(), text(" 0b5f1c2a-6c1e-4b7e-9c55-1d5e2f3a4b6c"));
        }),
        ("invalid_collection_id", |event| event.ids.collection.offer("collectionId".into(), text("landsat"))),
        ("invalid_item_id", |event| event.ids.item.offer("itemId".into(), text("a|b"))),
        ("invalid_bytes", |event| event.bytes = text("12345")),
        ("invalid_time", |event| event.time = text("2025-10-27T10:12:30+05:30")),
        ("updated_data", |event| event.updates_earlier = true),
        ("no_identity", |event| event.identity = None),
    ];
    for (reason, change) in cases {
        assert_eq!(verdict(change), reason);
    }
}

#[test]
fn the_first_test_that_holds_names_the_reason() {
    assert_eq!(
        verdict(|event| {
            event.presigned = Presigned::SigV2;
            event.ids = Ids::default();
        }),
        "no_ids"
    );
    assert_eq!(
        verdict(|event| {
            event.bytes = Value::Absent;
            event.ids.user = Spellings::default();
        }),
        "no_user"
    );
}

#[test]
fn downloads_without_a_user_go_to_the_anonymous_one() {
    let policy = MeteringPolicy { anonymous_user: Some(Uuid::nil()), ..MeteringPolicy::default() };
    let mut event = download();
    event.ids.user = Spellings::default();
    let Verdict::Download(download) = policy.classify(&event, &"s3://b/k".into(), 7) else { panic!("no download") };
    assert_eq!(download.record.user_id, Uuid::nil());
    assert_eq!(download.source(), "s3://b/k#7");
}
