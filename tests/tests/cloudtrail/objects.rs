//! Objects by the name they have and in the state they are, as S3 gives and refuses them.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use e2e::fixture::{gzip, log, s3_event, sqs_event};
use e2e::{Function, FunctionSpec, Get, aws};
use serde_json::{Value, json};

use super::storage::{Storage, on_every_storage};
use super::ways_in::event_bridge;
use super::{Trail, all_delivered};

on_every_storage!(
    keys_are_decoded_where_they_are_encoded_and_nowhere_else,
    any_key_is_read,
    what_is_not_there_says_so,
    content_encoding_changes_nothing,
    an_object_of_many_parts_is_read_to_its_end,
);

async fn keys_are_decoded_where_they_are_encoded_and_nowhere_else(storage: Storage) {
    let trail = Trail::on(storage).await;
    let gets = Get::many(1..=2);
    trail.log("a b+c=é.json.gz", &gets[..1]).await;
    trail.log("a%20b+c.json.gz", &gets[1..]).await;
    let notified = s3_event(&trail.bucket, &["a+b%2Bc%3D%C3%A9.json.gz"]);
    assert_eq!(trail.tally(&notified).await["delivered"], 1);
    assert_eq!(trail.tally(&event_bridge(&trail, "a%20b+c.json.gz")).await["delivered"], 1);
    trail.has_exactly(&gets).await;
}

async fn any_key_is_read(storage: Storage) {
    let trail = Trail::on(storage).await;
    let keys = [
        "with space/and  two.gz",
        "plus+and+more.gz",
        "100%/%2F%20.gz",
        "日本/é ü/e\u{301}.gz",
        "(a)!'*,;=$@&~.gz",
        "?query#fragment.gz",
        "quo\"te<>|^`{}.gz",
    ];
    let mut gets = Vec::new();
    for (number, key) in (1..).zip(keys) {
        let get = Get::new(number);
        trail.log(key, std::slice::from_ref(&get)).await;
        let replay = json!({"bucket": trail.bucket, "key": key});
        assert_eq!(trail.tally(&replay).await, all_delivered(1, 1), "{key}");
        gets.push(get);
    }
    trail.has_exactly(&gets).await;
}

async fn what_is_not_there_says_so(storage: Storage) {
    let trail = Trail::on(storage).await;
    let message = trail.failure(&trail.event(&["gone.json.gz"])).await;
    let expected = format!("s3://{}/gone.json.gz: no such object", trail.bucket);
    assert!(message.starts_with(&expected), "{message}");
    let nowhere = format!("none-{}", uuid::Uuid::new_v4());
    let message = trail.failure(&s3_event(&nowhere, &["k"])).await;
    assert!(message.starts_with(&format!("s3://{nowhere}/k: no such bucket")), "{message}");

    // Of a batch, only the messages that need them come again.
    trail.log("good", &Get::many([1])).await;
    let messages = [
        ("1", trail.event(&["gone"]).to_string()),
        ("2", s3_event(&nowhere, &["k"]).to_string()),
        ("3", trail.event(&["good"]).to_string()),
    ];
    let failed = json!([{"itemIdentifier": "1"}, {"itemIdentifier": "2"}]);
    assert_eq!(trail.invoke(&sqs_event(&messages)).await["batchItemFailures"], failed);
    trail.has_exactly(&Get::many([1])).await;
}

/// CloudTrail stores its files with `Content-Encoding: gzip`; somebody may store plain text under it, or gzip without.
async fn content_encoding_changes_nothing(storage: Storage) {
    let trail = Trail::on(storage).await;
    let gets = Get::many(1..=3);
    let records = |get: &Get| log(&[get.cloudtrail()]);
    let files = [
        ("encoded.json.gz", Some("gzip"), gzip(&records(&gets[0])).unwrap()),
        ("not-told.json.gz", None, gzip(&records(&gets[1])).unwrap()),
        ("told-but-plain.json", Some("gzip"), records(&gets[2])),
    ];
    for (key, encoding, body) in files {
        let put =
            trail.s3.put_object().bucket(&trail.bucket).key(key).set_content_encoding(encoding.map(str::to_owned));
        put.content_type("application/json").body(body.into()).send().await.unwrap();
        assert_eq!(trail.tally(&trail.event(&[key])).await, all_delivered(1, 1), "{key}");
    }
    trail.has_exactly(&gets).await;
}

async fn an_object_of_many_parts_is_read_to_its_end(storage: Storage) {
    let trail = Trail::on(storage).await;
    let gets = Get::many(1..=3);
    let mut records: Vec<Value> = gets.iter().map(Get::cloudtrail).collect();
    // Between the first and the others there is more than one part holds.
    let filler = json!({"eventName": "PutObject", "eventSource": "s3.amazonaws.com", "note": "x".repeat(9000)});
    records.splice(1..1, std::iter::repeat_n(filler, 2000));
    let text = log(&records);
    assert!(text.len() > 3 * PART_BYTES, "{}", text.len());
    put_in_parts(&trail, "large.json", &text).await;
    let tally = trail.tally(&trail.event(&["large.json"])).await;
    let expected = json!({"records": 2003, "delivered": 3, "skipped": {"not_presigned_get": 2000}});
    assert_eq!(super::picked(&tally, &["records", "delivered", "skipped"]), expected);
    trail.has_exactly(&gets).await;
}

/// The least that a part may have, the last one excepted.
const PART_BYTES: usize = 5 << 20;

async fn put_in_parts(trail: &Trail, key: &str, text: &[u8]) {
    let (s3, bucket) = (&trail.s3, &trail.bucket);
    let upload = s3.create_multipart_upload().bucket(bucket).key(key).send().await.unwrap();
    let id = upload.upload_id().unwrap();
    let mut parts = CompletedMultipartUpload::builder();
    for (number, part) in (1..).zip(text.chunks(PART_BYTES)) {
        let request = s3.upload_part().bucket(bucket).key(key).upload_id(id).part_number(number);
        let stored = request.body(ByteStream::from(part.to_vec())).send().await.unwrap();
        let part = CompletedPart::builder().part_number(number).set_e_tag(stored.e_tag);
        parts = parts.parts(part.build());
    }
    let complete = s3.complete_multipart_upload().bucket(bucket).key(key).upload_id(id);
    complete.multipart_upload(parts.build()).send().await.unwrap();
}

/// The emulator has no users that it refuses.
#[tokio::test]
async fn a_user_who_may_not_read_is_told_what_the_role_needs() {
    let name = concat!(module_path!(), "::a_user_who_may_not_read_is_told_what_the_role_needs");
    let Some(storage @ Storage::Minio(minio)) = Storage::minio(name).await else { return };
    let trail = Trail::on(storage).await;
    trail.log("secret/k", &Get::many([1])).await;
    trail.log("open/k", &Get::many([2])).await;
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [format!("arn:aws:s3:::{}/*", trail.bucket)]},
        {"Effect": "Deny", "Action": ["s3:GetObject"], "Resource": [format!("arn:aws:s3:::{}/secret/*", trail.bucket)]},
    ]});
    let file = trail.metering.place().join("policy.json");
    std::fs::write(&file, policy.to_string()).unwrap();
    minio.mc(&["admin", "user", "add", "local", "reader", "reader-secret"]).unwrap();
    minio.mc(&["admin", "policy", "create", "local", "reading", &file.display().to_string()]).unwrap();
    minio.mc(&["admin", "policy", "attach", "local", "reading", "--user", "reader"]).unwrap();

    let reader = |user: &str, secret: &str| {
        let mut spec = FunctionSpec::new("lambda-cloudtrail").unwrap();
        spec.environment = trail.metering.environment();
        spec = spec.env("AWS_ENDPOINT_URL", storage.endpoint()).env("LEDGER_URL", "memory:");
        Function::new(spec.env("AWS_ACCESS_KEY_ID", user).env("AWS_SECRET_ACCESS_KEY", secret)).unwrap()
    };
    let function = reader("reader", "reader-secret");
    let refused = function.invoke(&trail.event(&["secret/k"])).await.unwrap_err().message;
    let origin = format!("s3://{}/secret/k: access denied", trail.bucket);
    assert!(refused.starts_with(&origin) && refused.contains("s3:GetObject"), "{refused}");
    // MinIO says so to a user without s3:ListBucket, too; S3 would call it access denied.
    let missing = function.invoke(&trail.event(&["open/gone"])).await.unwrap_err().message;
    assert!(missing.contains("no such object"), "{missing}");
    assert_eq!(function.invoke(&trail.event(&["open/k"])).await.unwrap()["tally"]["delivered"], 1);
    trail.has_exactly(&Get::many([2])).await;

    let unknown = reader("nobody", "nobodys-secret").invoke(&trail.event(&["open/k"])).await.unwrap_err().message;
    assert!(unknown.contains("InvalidAccessKeyId"), "{unknown}");
    let wrong = reader(aws::ACCESS_KEY, "wrong-secret").invoke(&trail.event(&["open/k"])).await.unwrap_err().message;
    assert!(wrong.contains("SignatureDoesNotMatch") && !wrong.contains("wrong-secret"), "{wrong}");
}
