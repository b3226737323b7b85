//! Every shape of invocation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::fixture::{gzip, s3_event, sqs_event};
use e2e::{EventSource, Get, Moto, aws};
use serde_json::{Value, json};

use super::{Trail, all_delivered, picked};

const TEST_EVENT: &str =
    r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"logs","RequestId":"R","HostId":"H"}"#;

#[tokio::test]
async fn a_direct_answer_has_the_original_keys_and_the_tally() {
    let trail = Trail::new().await;
    let gets = Get::many(1..=3);
    trail.log("a/one.json.gz", &gets).await;
    let answer = trail.invoke(&trail.event(&["a/one.json.gz"])).await;
    let expected = json!({"status": "completed", "logs_count": 3, "api_status": 200, "tally": all_delivered(1, 3)});
    assert_eq!(answer, expected);
    trail.has_exactly(&gets).await;
}

#[tokio::test]
async fn a_log_without_downloads_says_so_and_posts_nothing() {
    let trail = Trail::new().await;
    let mut record = Get::new(1).cloudtrail();
    record["eventName"] = json!("PutObject");
    trail.put("k.json.gz", gzip(&e2e::fixture::log(&[record])).unwrap()).await;
    let answer = trail.invoke(&trail.event(&["k.json.gz"])).await;
    let head = picked(&answer, &["status", "logs_count", "api_status"]);
    assert_eq!(head, json!({"status": "no_logs_found", "logs_count": 0, "api_status": null}));
    assert_eq!(answer["tally"]["skipped"], json!({"not_presigned_get": 1}));
    assert_eq!(trail.metering.posts().await.unwrap(), 0);
}

pub(crate) fn event_bridge(trail: &Trail, key: &str) -> Value {
    json!({
        "version": "0", "source": "aws.s3", "detail-type": "Object Created", "region": "eu-central-1",
        "detail": {"version": "0", "bucket": {"name": trail.bucket}, "object": {"key": key, "size": 100}},
    })
}

#[tokio::test]
async fn every_shape_that_names_an_object_delivers_it() {
    let trail = Trail::new().await;
    let own = |key: &str| json!({"s3Bucket": trail.bucket, "s3ObjectKey": [key]}).to_string();
    let sns = |message: String| json!({"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": {"Type": "Notification", "Message": message}}]});
    let envelope = |message: String| json!({"Type": "Notification", "MessageId": "m", "Message": message}).to_string();
    let s3 = |key: &str| trail.event(&[key]).to_string();
    let shapes = [
        ("s3", trail.event(&["s3"])),
        ("sns", sns(s3("sns"))),
        ("cloudtrail-sns", sns(own("cloudtrail-sns"))),
        ("eventbridge", event_bridge(&trail, "eventbridge")),
        ("replay", json!({"bucket": trail.bucket, "key": "replay"})),
        ("sqs", sqs_event(&[("1", s3("sqs"))])),
        ("sns-in-sqs", sqs_event(&[("2", envelope(s3("sns-in-sqs")))])),
        ("cloudtrail-in-sqs", sqs_event(&[("3", own("cloudtrail-in-sqs"))])),
        ("cloudtrail-sns-in-sqs", sqs_event(&[("4", envelope(own("cloudtrail-sns-in-sqs")))])),
        ("eventbridge-in-sqs", sqs_event(&[("5", event_bridge(&trail, "eventbridge-in-sqs").to_string())])),
        ("replay-in-sqs", sqs_event(&[("6", json!({"bucket": trail.bucket, "key": "replay-in-sqs"}).to_string())])),
    ];
    let mut gets = Vec::new();
    for (number, (key, event)) in (1..).zip(&shapes) {
        let get = Get::new(number);
        trail.log(key, std::slice::from_ref(&get)).await;
        gets.push(get);
        let answer = trail.invoke(event).await;
        if event["Records"][0]["eventSource"] == "aws:sqs" {
            assert_eq!(answer, json!({"batchItemFailures": []}), "{key}");
        } else {
            assert_eq!(answer["tally"]["delivered"], 1, "{key}: {answer}");
        }
        trail.metering.has_exactly(&gets).await.unwrap_or_else(|error| panic!("{key}: {error}"));
    }
    assert!(trail.logged().iter().all(|tally| *tally == all_delivered(1, 1)));
}

#[tokio::test]
async fn every_shape_that_holds_records_delivers_them() {
    let trail = Trail::new().await;
    let records = |number: u64| vec![Get::new(number).cloudtrail(), Get::new(number + 1).cloudtrail()];
    let logs = |kind: &str, messages: Vec<Value>| {
        let events: Vec<Value> =
            messages.iter().map(|message| json!({"id": "1", "timestamp": 1, "message": message.to_string()})).collect();
        let data = json!({
            "messageType": kind, "owner": "111122223333", "logGroup": "trail", "logStream": "s",
            "subscriptionFilters": ["f"], "logEvents": events,
        });
        json!({"awslogs": {"data": STANDARD.encode(gzip(data.to_string().as_bytes()).unwrap())}})
    };
    let bridge = json!({
        "version": "0", "source": "aws.s3", "detail-type": "AWS API Call via CloudTrail", "detail": Get::new(5).cloudtrail(),
    });
    let shapes = [
        (json!({"Records": records(1)}), 2),
        (logs("DATA_MESSAGE", records(3)), 2),
        (bridge, 1),
        (json!({"Records": []}), 0),
    ];
    for (event, downloads) in &shapes {
        assert_eq!(trail.tally(event).await, all_delivered(1, *downloads), "{event}");
    }
    let control = trail.tally(&logs("CONTROL_MESSAGE", vec![json!("checking health")])).await;
    assert_eq!(
        picked(&control, &["objects", "records"]),
        json!({"objects": {"read": 0, "skipped": 1, "failed": 0}, "records": 0})
    );
    trail.has_exactly(&Get::many(1..=5)).await;
}

#[tokio::test]
async fn messages_of_set_up_are_skipped_objects() {
    let trail = Trail::new().await;
    let test: Value = serde_json::from_str(TEST_EVENT).unwrap();
    let answer = trail.invoke(&test).await;
    assert_eq!(answer["status"], "no_logs_found");
    assert_eq!(answer["tally"]["objects"], json!({"read": 0, "skipped": 1, "failed": 0}));
    let bodies = [("1", TEST_EVENT.to_owned()), ("2", "CloudTrail validation message.".to_owned())];
    assert_eq!(trail.invoke(&sqs_event(&bodies)).await, json!({"batchItemFailures": []}));
    assert_eq!(trail.logged().pop().unwrap()["objects"], json!({"read": 0, "skipped": 2, "failed": 0}));
}

#[tokio::test]
async fn an_unknown_event_is_an_error_that_names_what_was_seen() {
    let trail = Trail::new().await;
    for (event, seen) in [
        (json!({"detail": {"a": 1}, "strange": 2}), "an object with the keys detail, strange"),
        (json!({"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": "x"}}]}), "aws:kinesis"),
        (json!([1, 2]), "JSON that is no object"),
        (json!({}), "an object without keys"),
        (json!({"source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification"}), "detail-type EC2"),
    ] {
        let message = trail.failure(&event).await;
        assert!(message.contains(seen) && message.contains("expected an S3, SQS"), "{event}: {message}");
    }
}

#[tokio::test]
async fn of_a_batch_only_the_messages_that_failed_come_again() {
    let trail = Trail::with(|_| vec![("CLOUDTRAIL_BUCKET", "set-below".to_owned())]).await;
    let error = trail.failure(&trail.event(&["k"])).await;
    assert!(error.contains("CLOUDTRAIL_BUCKET is set-below") && error.contains(&trail.bucket), "{error}");

    let trail = Trail::new().await;
    let gets = Get::many(1..=3);
    trail.log("good", &gets[..1]).await;
    trail.log("also-good", &gets[1..]).await;
    let poison = gzip(&e2e::fixture::log(&[Get::new(9).cloudtrail()])).unwrap();
    trail.put("poison", &poison[..poison.len() - 5]).await;
    let one = |key: &str| trail.event(&[key]).to_string();
    let messages = [
        ("good", one("good")),
        ("poison", one("poison")),
        ("missing", one("missing")),
        ("other-bucket", s3_event("no-such-bucket-anywhere", &["k"]).to_string()),
        ("no-json", "not { json".to_owned()),
        ("unknown", json!({"strange": true}).to_string()),
        ("half-good", trail.event(&["also-good", "poison"]).to_string()),
    ];
    let answer = trail.invoke(&sqs_event(&messages)).await;
    assert_eq!(answer.as_object().unwrap().len(), 1);
    let failed: Vec<&str> = answer["batchItemFailures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| {
            assert_eq!(failure.as_object().unwrap().len(), 1);
            failure["itemIdentifier"].as_str().unwrap()
        })
        .collect();
    assert_eq!(failed, ["poison", "missing", "other-bucket", "no-json", "unknown", "half-good"]);
    trail.has_exactly(&gets).await;
    let log = trail.function.log();
    for said in [
        format!("s3://{}/missing: no such object", trail.bucket),
        "s3://no-such-bucket-anywhere/k: no such bucket".to_owned(),
        format!("s3://{}/poison: byte", trail.bucket),
        "an object with the keys strange".to_owned(),
    ] {
        assert!(log.contains(&said), "{said} in {log}");
    }
    let tally = trail.logged().pop().unwrap();
    assert_eq!(tally["objects"], json!({"read": 2, "skipped": 0, "failed": 4}));
    assert_eq!(tally["delivered"], 3);
}

#[tokio::test]
async fn a_bucket_that_notifies_a_queue_is_emptied_into_rows() {
    let trail = Trail::new().await;
    let sqs = Moto::shared().await.unwrap().sqs();
    let queue = aws::create_queue(&sqs, &format!("q-{}", uuid::Uuid::new_v4()), &[]).await.unwrap();
    notify(&trail, &aws::queue_arn(&sqs, &queue).await.unwrap()).await;
    let mut gets = Vec::new();
    for number in 0..12 {
        let own = Get::many(number * 3..number * 3 + 3);
        trail.log(&format!("AWSLogs/1 + 2/eu=central/{number}.json.gz"), &own).await;
        gets.extend(own);
    }
    let source = EventSource::new(sqs, &queue, 10).await.unwrap();
    for outcome in source.drain(&trail.function).await.unwrap() {
        assert!(outcome.failed.is_empty(), "{outcome:?}\n{}", trail.function.log());
    }
    assert_eq!(source.remaining().await.unwrap(), 0);
    trail.has_exactly(&gets).await;
}

async fn notify(trail: &Trail, queue_arn: &str) {
    use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration};
    let queue = QueueConfiguration::builder().queue_arn(queue_arn).events(Event::S3ObjectCreated).build().unwrap();
    let notification = NotificationConfiguration::builder().queue_configurations(queue).build();
    let request = trail.s3.put_bucket_notification_configuration().bucket(&trail.bucket);
    request.notification_configuration(notification).send().await.unwrap();
}
