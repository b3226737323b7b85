//! What is no download of anybody who can be billed: MinIO tells of it, and no row comes of it. Each case ends in a download that is
//! billed, and so has waited until all before it had arrived.

use e2e::presign::{Link, tampered};
use uuid::Uuid;

use crate::modes::{Modes, PUBLIC, SCENE, SCENE_BYTES, modes};
use crate::reader::{BUCKET, Reader};

/// A case's reader, with an item that no other case has.
fn reader(modes: &Modes) -> (Reader, String) {
    let reader = Reader::of(&modes.minio);
    let item = format!("refused {}", Uuid::new_v4());
    (reader, item)
}

/// Asks for `url` and answers status and length.
async fn ask(reader: &Reader, url: &str) -> (u16, usize) {
    let answer = reader.http().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.bytes().await.unwrap().len())
}

/// Checks that MinIO told of one such call, and that it is not billed.
async fn told_and_not_billed(modes: &Modes, mut reader: Reader, item: &str, name: &str, status: u64) {
    let calls = modes.ear.calls(item, 1).await;
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!((calls[0].0.as_str(), calls[0].1), (name, status));
    reader.read_last(SCENE).await;
    modes.bill(&reader).await;
}

#[tokio::test]
async fn head() {
    needs_minio!();
    let modes = modes().await;
    let (reader, item) = reader(modes);
    let url = Link::new(BUCKET, SCENE, &reader.parameters(&item)).head(reader.s3()).await.unwrap();
    let answer = reader.http().head(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-length"], SCENE_BYTES.to_string().as_str());
    told_and_not_billed(modes, reader, &item, "HeadObject", 200).await;
}

#[tokio::test]
async fn not_modified() {
    needs_minio!();
    let modes = modes().await;
    let (reader, item) = reader(modes);
    let url = reader.link(SCENE, &item).await;
    let object = reader.s3().head_object().bucket(BUCKET).key(SCENE).send().await.unwrap();
    let answer = reader.http().get(url).header("if-none-match", object.e_tag().unwrap()).send().await.unwrap();
    assert_eq!(answer.status(), 304);
    told_and_not_billed(modes, reader, &item, "GetObject", 304).await;
}

#[tokio::test]
async fn another_users_id() {
    needs_minio!();
    let modes = modes().await;
    let (reader, item) = reader(modes);
    let url = tampered(&reader.link(SCENE, &item).await, "userId", &Uuid::new_v4().to_string());
    assert_eq!(ask(&reader, &url).await.0, 403);
    told_and_not_billed(modes, reader, &item, "GetObject", 403).await;
}

#[tokio::test]
async fn another_item() {
    needs_minio!();
    let modes = modes().await;
    let (reader, item) = reader(modes);
    let url = tampered(&reader.link(SCENE, "cheap").await, "itemId", &item);
    assert_eq!(ask(&reader, &url).await.0, 403);
    told_and_not_billed(modes, reader, &item, "GetObject", 403).await;
}

#[tokio::test]
async fn an_expired_url() {
    needs_minio!();
    let modes = modes().await;
    let (reader, item) = reader(modes);
    let url = Link::new(BUCKET, SCENE, &reader.parameters(&item)).expired().get(reader.s3()).await.unwrap();
    assert!(url.contains("X-Amz-Expires=1&"), "{url}");
    assert_eq!(ask(&reader, &url).await.0, 403);
    told_and_not_billed(modes, reader, &item, "GetObject", 403).await;
}

#[tokio::test]
async fn a_key_that_is_not_there() {
    needs_minio!();
    let modes = modes().await;
    let (reader, item) = reader(modes);
    let url = reader.link("nothing/here.tif", &item).await;
    let (status, length) = ask(&reader, &url).await;
    assert!(status == 404 && length > 0, "an error has a body, which is no download: {status}, {length} bytes");
    told_and_not_billed(modes, reader, &item, "GetObject", 404).await;
}

#[tokio::test]
async fn a_range_past_the_end() {
    needs_minio!();
    let modes = modes().await;
    let (reader, item) = reader(modes);
    let url = reader.link(SCENE, &item).await;
    let answer = reader.http().get(url).header("range", format!("bytes={SCENE_BYTES}-")).send().await.unwrap();
    assert_eq!(answer.status(), 416);
    told_and_not_billed(modes, reader, &item, "GetObject", 416).await;
}

#[tokio::test]
async fn forged_ids_on_a_public_bucket() {
    needs_minio!();
    let modes = modes().await;
    let (reader, item) = reader(modes);
    let (victim, collection) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let parameters = [("userId", victim.as_str()), ("collectionId", &collection), ("itemId", &item)];
    let url = Link::new(PUBLIC, SCENE, &parameters).unsigned(modes.minio.endpoint());
    assert_eq!(ask(&reader, &url).await, (200, SCENE_BYTES), "everybody may read this, whatever they add");
    told_and_not_billed(modes, reader, &item, "GetObject", 200).await;
}

/// MinIO looks at a signature only beside what says that there is one.
#[tokio::test]
async fn ids_beside_a_signature_that_nobody_looks_at() {
    needs_minio!();
    let modes = modes().await;
    for bucket in [PUBLIC, BUCKET] {
        let (reader, item) = reader(modes);
        let (victim, collection) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
        let forged = ("X-Amz-Signature", "5ec2e7");
        let parameters = [("userId", victim.as_str()), ("collectionId", &collection), ("itemId", &item), forged];
        let link = Link::new(bucket, SCENE, &parameters);
        let endpoint = modes.minio.endpoint();
        let url = if bucket == PUBLIC { link.unsigned(endpoint) } else { link.get_v2(endpoint).unwrap() };
        assert_eq!(ask(&reader, &url).await, (200, SCENE_BYTES), "{bucket}");
        told_and_not_billed(modes, reader, &item, "GetObject", 200).await;
    }
}

/// Signature Version 2 signs no parameter: anyone could have written them.
#[tokio::test]
async fn ids_that_are_not_signed() {
    needs_minio!();
    let modes = modes().await;
    let (reader, item) = reader(modes);
    let victim = Uuid::new_v4().to_string();
    let parameters = [("userId", victim.as_str()), ("collectionId", &reader.collection), ("itemId", &item)];
    let url = Link::new(BUCKET, SCENE, &parameters).get_v2(modes.minio.endpoint()).unwrap();
    assert_eq!(ask(&reader, &url).await, (200, SCENE_BYTES), "MinIO still takes them");
    told_and_not_billed(modes, reader, &item, "GetObject", 200).await;
}

/// A download with the account's own key, as services make them, carries no ids.
#[tokio::test]
async fn a_read_with_an_access_key() {
    needs_minio!();
    let modes = modes().await;
    let mut reader = Reader::of(&modes.minio);
    let key = format!("own/{}.tif", reader.user);
    e2e::aws::put_object(reader.s3(), BUCKET, &key, "own").await.unwrap();
    e2e::aws::get_object(reader.s3(), BUCKET, &key).await.unwrap();
    reader.read_last(&key).await;
    modes.bill(&reader).await;
    let heard = modes.ear.heard(|entry| entry["api"]["object"] == key.as_str() && entry["api"]["name"] == "GetObject");
    assert_eq!(heard.len(), 2, "{heard:?}");
}
