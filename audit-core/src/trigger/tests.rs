use std::io::Write;

use serde_json::{Value, json};

use super::*;

fn read(event: &Value) -> Result<Invocation, TriggerError> {
    let reader = Reader { request_id: "r-1", bucket: None, max_decompressed_bytes: 1 << 20 };
    reader.read(event.to_string().as_bytes())
}

fn works(event: &Value) -> Vec<Work> {
    read(event).unwrap().messages.into_iter().flat_map(|message| message.work.unwrap()).collect()
}

fn object(key: &str, size: Option<u64>) -> Work {
    Work::Object { bucket: "trail".into(), key: key.into(), size }
}

fn s3(key: &str, name: &str, size: u64) -> Value {
    json!({"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": name,
        "s3": {"bucket": {"name": "trail"}, "object": {"key": key, "size": size}}}]})
}

fn sqs(bodies: &[String]) -> Value {
    let message = |(number, body): (usize, &String)| json!({"messageId": format!("m-{number}"), "body": body, "eventSource": "aws:sqs"});
    json!({"Records": bodies.iter().enumerate().map(message).collect::<Vec<_>>()})
}

fn sns(message: &str) -> Value {
    json!({"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": {"Type": "Notification", "Message": message}}]})
}

fn envelope(message: &str) -> String {
    json!({"Type": "Notification", "MessageId": "n", "Message": message}).to_string()
}

fn logs(data: &Value) -> Value {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(data.to_string().as_bytes()).unwrap();
    let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, gzip.finish().unwrap());
    json!({"awslogs": {"data": data}})
}

#[test]
fn every_way_in_to_an_object_is_known() {
    let event = s3("a+b%2Fc%C3%A4%2B.json.gz", "ObjectCreated:Put", 7);
    let decoded = || vec![object("a b/cä+.json.gz", Some(7))];
    assert_eq!(works(&event), decoded());
    assert_eq!(works(&sns(&event.to_string())), decoded());
    assert_eq!(works(&sqs(&[event.to_string()])), decoded());
    assert_eq!(works(&sqs(&[envelope(&event.to_string())])), decoded());

    let own = json!({"s3Bucket": "trail", "s3ObjectKey": ["a+b%20", "c"]}).to_string();
    let plain = || vec![object("a+b%20", None), object("c", None)];
    assert_eq!(works(&sns(&own)), plain());
    assert_eq!(works(&sqs(&[envelope(&own)])), plain());
    assert_eq!(works(&sqs(&[own])), plain());

    let bridge = json!({"version": "0", "source": "aws.s3", "detail-type": "Object Created",
        "detail": {"bucket": {"name": "trail"}, "object": {"key": "a+b%20", "size": 7}}});
    assert_eq!(works(&bridge), [object("a+b%20", Some(7))]);
    assert_eq!(works(&sqs(&[bridge.to_string()])), [object("a+b%20", Some(7))]);
    assert_eq!(works(&json!({"bucket": "trail", "key": "a+b%20"})), [object("a+b%20", None)]);
}

#[test]
fn every_way_in_of_records_is_known() {
    let record = json!({"eventVersion": "1.11", "eventSource": "s3.amazonaws.com", "eventID": "e"});
    let records =
        |json: &str, id: &str| vec![Work::Records { json: json.into(), origin: format!("request:{id}").into() }];
    let file = json!({"Records": [record, 5]});
    assert_eq!(works(&file), records(&file.to_string(), "r-1"));
    assert_eq!(works(&sqs(&[file.to_string()])), records(&file.to_string(), "m-0"));
    assert_eq!(works(&json!({"Records": []})), records(r#"{"Records":[]}"#, "r-1"));

    let one = json!({"Records": [record]}).to_string();
    let bridge = json!({"source": "aws.s3", "detail-type": "AWS API Call via CloudTrail", "detail": record});
    assert_eq!(works(&bridge), records(&one, "r-1"));

    let data = json!({"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1", "message": record.to_string()}, {"message": "junk"}]});
    assert_eq!(works(&logs(&data)), records(&format!(r#"{{"Records":[{record},"junk"]}}"#), "r-1"));
}

#[test]
fn what_holds_no_logs_is_skipped_for_a_reason() {
    let created = |key: &str, size| s3(key, "ObjectCreated:Put", size);
    for (event, reason) in [
        (created("AWSLogs/1/CloudTrail-Digest/x.json.gz", 5), Skipped::Digest),
        (created("AWSLogs%2F1/CloudTrail-Insight/x.json.gz", 5), Skipped::Insight),
        (created("AWSLogs/1/CloudTrail/", 0), Skipped::Folder),
        (created("a.json.gz", 0), Skipped::Empty),
        (s3("a.json.gz", "ObjectRemoved:Delete", 5), Skipped::NotCreated),
        (json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "other"}), Skipped::Test),
        (json!("CloudTrail validation message."), Skipped::Test),
        (sns("CloudTrail validation message."), Skipped::Test),
        (sqs(&["CloudTrail validation message.".into()]), Skipped::Test),
        (sqs(&[envelope("CloudTrail validation message.")]), Skipped::Test),
        (logs(&json!({"messageType": "CONTROL_MESSAGE", "logEvents": [{"message": "checking"}]})), Skipped::Test),
        (
            json!({"source": "aws.s3", "detail-type": "Object Deleted", "detail": {"bucket": {"name": "b"}, "object": {"key": "k"}}}),
            Skipped::NotCreated,
        ),
    ] {
        assert_eq!(works(&event), [Work::Skipped(reason)], "{event}");
    }
}

#[test]
fn a_bad_message_fails_alone() {
    let good = s3("k", "ObjectCreated:Put", 1).to_string();
    let invocation = read(&sqs(&[good.clone(), "hello".into(), r#"{"a":1}"#.into(), good])).unwrap();
    assert!(invocation.from_sqs);
    let told: Vec<_> = invocation.messages.iter().map(|own| (own.id.as_deref().unwrap(), own.work.is_ok())).collect();
    assert_eq!(told, [("m-0", true), ("m-1", false), ("m-2", false), ("m-3", true)]);
    let bodiless = json!({"Records": [{"eventSource": "aws:sqs", "messageId": "m", "body": 5}]});
    assert!(read(&bodiless).unwrap().messages[0].work.is_err());
}

#[test]
fn an_unknown_shape_is_an_error_that_names_keys_and_no_values() {
    for (event, expected) in [
        (json!({"foo": "s3cret", "bar": {}}), "an object with the keys bar, foo;"),
        (json!({}), "an object without keys"),
        (json!([1]), "JSON that is no object"),
        (json!({"Records": [{"eventSource": "aws:kinesis", "kinesis": "s3cret"}]}), "eventSource aws:kinesis"),
        (json!({"Records": [{"a": "s3cret"}]}), "Records holding an object with the keys a;"),
        (json!({"Records": ["s3cret"]}), "something that is no object"),
        (json!({"Records": [{"eventSource": "aws:s3"}, {"eventSource": "aws:sqs"}]}), "Records of several services"),
        (json!({"detail-type": "EC2 Instance State-change Notification", "detail": {}}), "detail-type EC2"),
        (json!({"Type": "SubscriptionConfirmation", "Token": "s3cret"}), "keys Token, Type"),
        (s3("%FF", "ObjectCreated:Put", 1), "UTF-8 once it is decoded"),
        (json!({"bucket": 1, "key": "k"}), "replay: expected bucket to be a string"),
        (sqs(&[sqs(&[]).to_string(), sqs(&["x".into()]).to_string()]), "an SQS event within another event"),
        (json!({"awslogs": {"data": "!"}}), "expected base64"),
        (json!({"awslogs": {"data": "aGVsbG8="}}), "expected whole gzip data"),
        (
            logs(&json!({"messageType": "DATA_MESSAGE", "logEvents": [], "x": "y".repeat(2 << 20)})),
            "more than MAX_DECOMPRESSED_BYTES",
        ),
    ] {
        let error = match read(&event) {
            Ok(invocation) => invocation.messages.into_iter().find_map(|message| message.work.err()).unwrap(),
            Err(error) => error,
        };
        let error = error.to_string();
        assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
    }
    let reader = Reader { request_id: "r", bucket: None, max_decompressed_bytes: 1 };
    assert!(matches!(reader.read(b"{\"a\":"), Err(TriggerError::NotJson { .. })));
}

#[test]
fn events_of_another_bucket_are_refused() {
    let reader = Reader { request_id: "r", bucket: Some("mine"), max_decompressed_bytes: 1 };
    for event in [
        s3("k", "ObjectCreated:Put", 1),
        json!({"bucket": "trail", "key": "k"}),
        json!({"s3Bucket": "trail", "s3ObjectKey": ["k"]}),
    ] {
        let error = reader.read(event.to_string().as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "refused: the event names the bucket trail, but CLOUDTRAIL_BUCKET is mine");
        let queued = reader.read(sqs(&[event.to_string()]).to_string().as_bytes()).unwrap();
        assert!(matches!(queued.messages[0].work, Err(TriggerError::OtherBucket { .. })));
    }
}

#[test]
fn envelopes_within_envelopes_come_to_an_end() {
    let deep = (0..9).fold("{}".to_owned(), |inner, _| envelope(&inner));
    assert_eq!(read(&sqs(&[deep])).unwrap().messages[0].work, Err(TriggerError::TooDeep));
}

#[test]
fn records_may_be_of_any_depth() {
    let deep = format!(r#"{{"Records":[{{"eventID":"e","x":{}1{}}}]}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let reader = Reader { request_id: "r", bucket: None, max_decompressed_bytes: 1 };
    let invocation = reader.read(deep.as_bytes()).unwrap();
    assert_eq!(invocation.messages[0].work, Ok(vec![Work::Records { json: deep.into(), origin: "request:r".into() }]));
}
