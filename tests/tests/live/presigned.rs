//! Presigned downloads with ids among the signed parameters: each makes one row, in each of MinIO's four ways to send.

use e2e::aws;
use e2e::presign::Link;
use serde_json::Value;

use crate::clients::{self, script};
use crate::modes::{SCENE, SCENE_BYTES, content, modes};
use crate::reader::{BUCKET, Reader, get, now};

/// Keys (and items) that have to be escaped somewhere on their way.
const ODD: [&str; 7] = [
    "with space/a b c.tif",
    "plus/1+1=2.tif",
    "percent/100%.tif",
    "percent/literal%20and%2B.tif",
    "unicode/Übersicht-日本-🛰.tif",
    "marks/a&b;c,d:e@f$g!(h)'i'*~.tif",
    "hash/q?x=y#z.tif",
];

#[tokio::test]
async fn a_whole_object() {
    needs_minio!();
    let modes = modes().await;
    let mut reader = Reader::of(&modes.minio);
    let url = reader.link(SCENE, "whole").await;
    assert_eq!(reader.read(&url, "whole").await, content(SCENE_BYTES));
    modes.bill(&reader).await;
}

#[tokio::test]
async fn the_same_url_many_times() {
    needs_minio!();
    let modes = modes().await;
    let mut reader = Reader::of(&modes.minio);
    aws::put_object(reader.s3(), BUCKET, "small.txt", "small").await.unwrap();
    let url = reader.link("small.txt", "small").await;
    for _ in 0..130 {
        reader.read(&url, "small").await;
    }
    modes.bill(&reader).await;
}

#[tokio::test]
async fn an_empty_object() {
    needs_minio!();
    let modes = modes().await;
    let mut reader = Reader::of(&modes.minio);
    aws::put_object(reader.s3(), BUCKET, "empty.txt", "").await.unwrap();
    let url = reader.link("empty.txt", "nothing").await;
    assert!(reader.read(&url, "nothing").await.is_empty());
    modes.bill(&reader).await;
}

#[tokio::test]
async fn ranges() {
    needs_minio!();
    let modes = modes().await;
    let mut reader = Reader::of(&modes.minio);
    let whole = content(SCENE_BYTES);
    for (range, part) in [
        ("0-0", &whole[..1]),
        ("1000-1999", &whole[1000..2000]),
        ("-500", &whole[SCENE_BYTES - 500..]),
        ("2999000-", &whole[2_999_000..]),
        ("2999000-9999999", &whole[2_999_000..]),
    ] {
        let item = format!("bytes {range}");
        let url = reader.link(SCENE, &item).await;
        assert_eq!(reader.read_range(&url, &item, range).await, part, "{range}");
    }
    modes.bill(&reader).await;
}

#[tokio::test]
async fn parts_in_parallel() {
    needs_minio!();
    let modes = modes().await;
    let mut reader = Reader::of(&modes.minio);
    let url = reader.link(SCENE, "in parts").await;
    let began = now();
    let mut parts = tokio::task::JoinSet::new();
    let length = SCENE_BYTES.div_ceil(8);
    for part in 0..8 {
        let (http, url) = (reader.http().clone(), url.clone());
        let range = format!("{}-{}", part * length, (part + 1) * length - 1);
        parts.spawn(async move { get(&http, &url, Some(&range)).await.len() });
    }
    let lengths = parts.join_all().await;
    assert_eq!(lengths.iter().sum::<usize>(), SCENE_BYTES);
    for length in lengths {
        reader.count("in parts", length, began.clone());
    }
    modes.bill(&reader).await;
}

#[tokio::test]
async fn keys_and_items_with_odd_characters() {
    needs_minio!();
    let modes = modes().await;
    let mut reader = Reader::of(&modes.minio);
    for (number, key) in ODD.into_iter().enumerate() {
        let body = content(1000 + number);
        aws::put_object(reader.s3(), BUCKET, key, body.clone()).await.unwrap();
        let url = reader.link(key, key).await;
        assert_eq!(reader.read(&url, key).await, body, "{key}");
    }
    modes.bill(&reader).await;
}

#[tokio::test]
async fn urls_made_by_minio_py() {
    needs_minio!();
    let modes = modes().await;
    let mut reader = Reader::of(&modes.minio);
    let key = "py/a +%é.tif";
    aws::put_object(reader.s3(), BUCKET, key, content(4321)).await.unwrap();
    let mut command = script(modes, "minio_py.py");
    command.args(["presign", BUCKET, key, &reader.user, &reader.collection]).args(["whole +%é", "part"]);
    let urls: Vec<String> = serde_json::from_str(&clients::run(command)).unwrap();
    assert_eq!(reader.read(&urls[0], "whole +%é").await, content(4321));
    assert_eq!(reader.read_range(&urls[1], "part", "21-4320").await.len(), 4300);
    modes.bill(&reader).await;
}

/// The item of a row is the parameter's, whatever the object is called; and ids in upper case are one user's.
#[tokio::test]
async fn ids_in_upper_case() {
    needs_minio!();
    let modes = modes().await;
    let mut reader = Reader::of(&modes.minio);
    let (user, collection) = (reader.user.to_uppercase(), reader.collection.to_uppercase());
    let parameters = [("userId", user.as_str()), ("collectionId", &collection), ("itemId", "Upper"), ("assetId", "x")];
    let url = Link::new(BUCKET, SCENE, &parameters).get(reader.s3()).await.unwrap();
    reader.read(&url, "Upper").await;
    modes.bill(&reader).await;
}

/// What MinIO says itself agrees with what arrived here: neither side's count is the other's.
#[tokio::test]
async fn minio_says_the_same() {
    needs_minio!();
    let modes = modes().await;
    let mut reader = Reader::of(&modes.minio);
    let item = format!("heard {}", reader.user);
    let url = reader.link(SCENE, &item).await;
    reader.read(&url, &item).await;
    let bytes = i64::try_from(SCENE_BYTES).unwrap();
    assert_eq!(modes.ear.calls(&item, 1).await, [("GetObject".to_owned(), 200, bytes)]);
    let heard = modes.ear.heard(|entry| entry["requestQuery"]["itemId"] == item.as_str());
    assert_eq!(heard[0]["trigger"], Value::from("incoming"));
    modes.bill(&reader).await;
}
