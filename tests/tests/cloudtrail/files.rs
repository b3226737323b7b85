//! Log files as they are stored, whole and broken.

use e2e::Get;
use e2e::fixture::{gzip, log, s3_event, sqs_event};
use serde_json::{Value, json};

use super::storage::{Storage, on_every_storage};
use super::{Trail, all_delivered, picked};

on_every_storage!(
    a_good_file_is_read_however_it_is_stored,
    of_a_broken_file_nothing_is_delivered_and_the_error_says_what_is_wrong,
    what_is_no_log_is_a_skipped_object,
    the_same_event_in_two_files_is_one_row,
    a_file_that_comes_twice_delivers_nothing_the_second_time,
    a_download_seen_by_two_accounts_is_one_row,
);

fn records(numbers: impl IntoIterator<Item = u64>) -> Vec<Value> {
    Get::many(numbers).iter().map(Get::cloudtrail).collect()
}

async fn a_good_file_is_read_however_it_is_stored(storage: Storage) {
    let trail = Trail::on(storage).await;
    let text = log(&records(1..=4));
    let (front, back) = text.split_at(text.len() / 2);
    let members = [gzip(front).unwrap(), gzip(b"").unwrap(), gzip(back).unwrap()].concat();
    let marked = [b"\xef\xbb\xbf".as_slice(), &log(&records([6]))].concat();
    let files = [
        ("multi-member.json.gz", members, 4),
        ("plain.json", log(&records([5])), 1),
        ("byte-order-mark.json", marked, 1),
        ("padded.json.gz", [gzip(&log(&records([7]))).unwrap(), vec![0; 512]].concat(), 1),
        ("white-space.json.gz", gzip(&[b" \n".as_slice(), &log(&records([8])), b"\n\n"].concat()).unwrap(), 1),
    ];
    for (key, body, downloads) in files {
        trail.put(key, body).await;
        assert_eq!(trail.tally(&trail.event(&[key])).await, all_delivered(1, downloads), "{key}");
    }
    trail.has_exactly(&Get::many(1..=8)).await;
}

async fn of_a_broken_file_nothing_is_delivered_and_the_error_says_what_is_wrong(storage: Storage) {
    let trail = Trail::on_with(storage, |_| vec![("MAX_DECOMPRESSED_BYTES", "300000".to_owned())]).await;
    let text = log(&records(1..=20));
    let whole = gzip(&text).unwrap();
    let mut damaged = whole.clone();
    let trailer = damaged.len() - 6;
    damaged[trailer] ^= 1;
    let files = [
        ("truncated.gz", whole[..whole.len() - 30].to_vec(), "byte"),
        ("no-trailer.gz", whole[..whole.len() - 8].to_vec(), "byte"),
        ("checksum.gz", damaged, "byte"),
        ("two-thirds.json", text[..text.len() * 2 / 3].to_vec(), "byte"),
        ("no-end.json", text[..text.len() - 1].to_vec(), "byte"),
        ("more.json", [text.as_slice(), b"{}"].concat(), "byte"),
        ("more.gz", [whole.as_slice(), b"more"].concat(), "byte"),
        ("no-records.json", br#"{"Other":[]}"#.to_vec(), "Records"),
        ("null.json", br#"{"Records":null}"#.to_vec(), "Records"),
        ("html.json", b"<html></html>".to_vec(), "byte 0"),
        ("bomb.gz", gzip(&log(&records(1..=400))).unwrap(), "MAX_DECOMPRESSED_BYTES"),
    ];
    for (key, body, said) in files {
        trail.put(key, body).await;
        let message = trail.failure(&trail.event(&[key])).await;
        let origin = format!("s3://{}/{key}: ", trail.bucket);
        assert!(message.starts_with(&origin) && message.contains(said), "{key}: {message}");
        let tally = trail.logged().pop().unwrap();
        assert_eq!(tally["objects"], json!({"read": 0, "skipped": 0, "failed": 1}), "{key}");
        assert_eq!(tally["records"], 0, "{key}");
    }
    assert_eq!(trail.metering.posts().await.unwrap(), 0);
    trail.has_exactly(&[]).await;
}

async fn what_is_no_log_is_a_skipped_object(storage: Storage) {
    let trail = Trail::on(storage).await;
    trail.put("AWSLogs/1/CloudTrail/real-but-empty", Vec::new()).await;
    trail.log("good", &[Get::new(1)]).await;
    let keys = [
        "AWSLogs/1/CloudTrail-Digest/eu/digest.json.gz",
        "o/AWSLogs/1/CloudTrail-Insight/eu/insight.json.gz",
        "AWSLogs/1/CloudTrail/",
        "AWSLogs/1/CloudTrail/real-but-empty",
        "good",
    ];
    let mut event = trail.event(&keys);
    let mut empty = trail.event(&["never-read"])["Records"][0].take();
    empty["s3"]["object"]["size"] = json!(0);
    event["Records"].as_array_mut().unwrap().push(empty);
    let mut removed = trail.event(&["gone"])["Records"][0].take();
    removed["eventName"] = json!("ObjectRemoved:Delete");
    event["Records"].as_array_mut().unwrap().push(removed);
    let tally = trail.tally(&event).await;
    let expected = json!({"objects": {"read": 1, "skipped": 6, "failed": 0}, "records": 1, "delivered": 1});
    assert_eq!(picked(&tally, &["objects", "records", "delivered"]), expected);
    trail.has_exactly(&Get::many([1])).await;
}

async fn the_same_event_in_two_files_is_one_row(storage: Storage) {
    let trail = Trail::on(storage).await;
    trail.log("one", &Get::many([1, 2, 3])).await;
    trail.log("other", &Get::many([2, 3, 4])).await;
    let tally = trail.tally(&trail.event(&["one", "other"])).await;
    assert_eq!(
        picked(&tally, &["records", "downloads", "delivered"]),
        json!({"records": 6, "downloads": 4, "delivered": 4})
    );
    assert_eq!(tally["duplicates"], 2);
    trail.has_exactly(&Get::many(1..=4)).await;
}

async fn a_file_that_comes_twice_delivers_nothing_the_second_time(storage: Storage) {
    let trail = Trail::on(storage).await;
    trail.log("k", &Get::many(1..=5)).await;
    assert_eq!(trail.tally(&trail.event(&["k", "k"])).await["delivered"], 5);
    let posts = trail.metering.posts().await.unwrap();
    let answer = trail.invoke(&sqs_event(&[("1", trail.event(&["k"]).to_string())])).await;
    assert_eq!(answer, json!({"batchItemFailures": []}));
    let tally = trail.tally(&s3_event(&trail.bucket, &["k"])).await;
    assert_eq!(
        picked(&tally, &["records", "downloads", "duplicates"]),
        json!({"records": 5, "downloads": 0, "duplicates": 5})
    );
    assert_eq!(trail.metering.posts().await.unwrap(), posts);
    trail.has_exactly(&Get::many(1..=5)).await;
}

async fn a_download_seen_by_two_accounts_is_one_row(storage: Storage) {
    let trail = Trail::on(storage).await;
    let get = Get::new(1);
    let (mut owner, mut requester) = (get.cloudtrail(), get.cloudtrail());
    owner["sharedEventID"] = json!("5c5c5c5c-0000-4000-8000-000000000001");
    requester["sharedEventID"] = owner["sharedEventID"].clone();
    requester["eventID"] = Get::new(2).id().into();
    requester["recipientAccountId"] = json!("444455556666");
    trail.put("owner", log(&[owner])).await;
    trail.put("requester", log(&[requester])).await;
    let tally = trail.tally(&trail.event(&["owner", "requester"])).await;
    assert_eq!(picked(&tally, &["downloads", "duplicates"]), json!({"downloads": 1, "duplicates": 1}));
    trail.has_exactly(&[get]).await;
}
