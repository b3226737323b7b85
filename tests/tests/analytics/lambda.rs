//! Both functions under Lambda: CloudTrail's files, the function URL, and the queue.

use e2e::fixture::{gzip, lines, log, s3_event, sqs_event};
use e2e::{EventSource, Function, FunctionSpec, Get, Moto, UrlRequest, aws};
use serde_json::{Value, json};

use super::{PARQUET, Site, ago, entry};

fn function(site: &Site, name: &str, more: &[(&str, &str)]) -> Function {
    let mut spec = FunctionSpec::new(name).unwrap();
    spec.environment = site.environment(more);
    Function::new(spec).unwrap()
}

/// A record of a read of a minute ago; `presigned` ones are billed.
fn record(number: u64, presigned: bool) -> Value {
    let mut record = Get::new(number).cloudtrail();
    record["eventTime"] = json!(format!("{}Z", &ago(60)[..19]));
    record["requestParameters"]["key"] = json!(PARQUET);
    record["sourceIPAddress"] = json!(format!("198.51.100.{number}"));
    if !presigned {
        record["additionalEventData"]["AuthenticationMethod"] = json!("AuthHeader");
        record["requestParameters"] = json!({"bucketName": "scenes", "key": PARQUET});
    }
    record
}

async fn put(records: &[Value]) -> (&'static Moto, String) {
    let moto = Moto::shared().await.unwrap();
    let bucket = format!("logs-{}", uuid::Uuid::new_v4());
    aws::create_bucket(&moto.s3(), &bucket).await.unwrap();
    aws::put_object(&moto.s3(), &bucket, "a.json.gz", gzip(&log(records)).unwrap()).await.unwrap();
    (moto, bucket)
}

fn billed(numbers: &[u64], records: &[Value]) -> Vec<Get> {
    let time = |number: u64| {
        let record = records.iter().find(|own| own["eventID"] == json!(Get::new(number).id())).unwrap();
        record["eventTime"].as_str().unwrap()[..19].to_owned()
    };
    let get = |&number: &u64| {
        let mut get = Get::new(number);
        get.time = time(number);
        get
    };
    numbers.iter().map(get).collect()
}

#[tokio::test]
async fn a_log_file_is_billed_and_shown_once() {
    let site = Site::new().await;
    let records = [record(1, true), record(2, false), record(3, false), record(3, false)];
    let (moto, bucket) = put(&records).await;
    let function = function(&site, "lambda-cloudtrail", &[("AWS_ENDPOINT_URL", moto.endpoint())]);
    let event = s3_event(&bucket, &["a.json.gz"]);
    let tally = function.invoke(&event).await.unwrap()["tally"].take();
    assert_eq!(
        (&tally["records"], &tally["delivered"], &tally["skipped"]),
        (&json!(4), &json!(1), &json!({"not_presigned_get": 3}))
    );
    let own = &tally["analytics"];
    assert_eq!((&own["events"], &own["recorded"], &own["duplicates"]), (&json!(4), &json!(3), &json!(1)), "{own}");
    let again = function.invoke(&event).await.unwrap()["tally"].take();
    assert_eq!((&again["analytics"]["duplicates"], &again["duplicates"]), (&json!(4), &json!(1)));
    assert_eq!(site.events().await.len(), 3);
    site.metering.has_exactly(&billed(&[1], &records)).await.unwrap();
}

#[tokio::test]
async fn analytics_alone_has_no_deliveries() {
    let site = Site::new().await;
    let (moto, bucket) = put(&[record(1, true)]).await;
    let more = [("AWS_ENDPOINT_URL", moto.endpoint()), ("PROCESS_API_URL", "")];
    let tally = function(&site, "lambda-cloudtrail", &more).invoke(&s3_event(&bucket, &["a.json.gz"])).await;
    let tally = tally.unwrap()["tally"].take();
    assert_eq!((&tally["downloads"], tally.get("delivered")), (&json!(1), None));
    assert_eq!(tally["analytics"]["recorded"], 1);
}

#[tokio::test]
async fn plausible_down_fails_a_message_once_at_most_and_never_a_direct_invocation() {
    let site = Site::new().await;
    let records = [record(1, true), record(2, false)];
    let (moto, bucket) = put(&records).await;
    let function = function(&site, "lambda-cloudtrail", &[("AWS_ENDPOINT_URL", moto.endpoint())]);
    site.fault(json!({"target": "event", "status": 503})).await;
    let event = s3_event(&bucket, &["a.json.gz"]);
    let tally = function.invoke(&event).await.unwrap()["tally"].take();
    assert_eq!((&tally["delivered"], &tally["analytics"]["pending"]), (&json!(1), &json!(2)), "{tally}");

    let mut message = sqs_event(&[("m-1", event.to_string())]);
    let first = function.invoke(&message).await.unwrap();
    assert_eq!(first["batchItemFailures"][0]["itemIdentifier"], "m-1");
    message["Records"][0]["attributes"]["ApproximateReceiveCount"] = json!("2");
    assert_eq!(function.invoke(&message).await.unwrap(), json!({"batchItemFailures": []}));
    site.metering.upstreams().clear_faults().await.unwrap();
    assert_eq!(function.invoke(&message).await.unwrap(), json!({"batchItemFailures": []}));
    assert_eq!(site.events().await.len(), 2);
    site.metering.has_exactly(&billed(&[1], &records)).await.unwrap();
}

#[tokio::test]
async fn plausible_hanging_or_talking_nonsense_leaves_what_is_billed_as_it_is() {
    for (fault, outcome) in [
        (json!({"target": "event", "hang": true}), "ambiguous"),
        (json!({"target": "event", "status": 200, "html": true}), "pending"),
    ] {
        let site = Site::new().await;
        let records: Vec<Value> = (1..=30).map(|number| record(number, number % 2 == 0)).collect();
        let (moto, bucket) = put(&records).await;
        let more = [("AWS_ENDPOINT_URL", moto.endpoint()), ("PLAUSIBLE_CONCURRENCY", "2")];
        let function = function(&site, "lambda-cloudtrail", &more);
        site.fault(fault).await;
        let event = s3_event(&bucket, &["a.json.gz"]);
        let tally = function.invoke(&event).await.unwrap()["tally"].take();
        assert_eq!(
            (&tally["delivered"], &tally["pending"], &tally["held"]),
            (&json!(15), &json!(0), &json!(0)),
            "{tally}"
        );
        let own = &tally["analytics"];
        let [ambiguous, pending] = ["ambiguous", "pending"].map(|name| own[name].as_u64().unwrap());
        assert!(ambiguous + pending == 30 && own[outcome].as_u64() > Some(0) && ambiguous <= 2, "{own}");
        site.metering.upstreams().clear_faults().await.unwrap();
        let again = function.invoke(&event).await.unwrap()["tally"].take();
        assert_eq!((&again["delivered"], &again["duplicates"]), (&json!(0), &json!(15)), "{again}");
        assert_eq!(again["analytics"]["recorded"], pending, "{again}");
        assert_eq!(site.events().await.len() as u64, pending);
        let gets: Vec<u64> = (1..=30).filter(|number| number % 2 == 0).collect();
        site.metering.has_exactly(&billed(&gets, &records)).await.unwrap();
        assert!(!function.log().contains("198.51.100."), "{}", function.log());
    }
}

/// A process that was not answered once asks again with the first event it has, however many reads come before that.
#[tokio::test]
async fn a_warm_function_finds_plausible_well_again() {
    let site = Site::new().await;
    let (moto, bucket) = put(&[record(1, false)]).await;
    let function = function(&site, "lambda-cloudtrail", &[("AWS_ENDPOINT_URL", moto.endpoint())]);
    site.fault(json!({"target": "event", "hang": true})).await;
    let event = s3_event(&bucket, &["a.json.gz"]);
    assert_eq!(function.invoke(&event).await.unwrap()["tally"]["analytics"]["ambiguous"], 1);
    site.metering.upstreams().clear_faults().await.unwrap();
    let mut records: Vec<Value> = (2..=700).map(|number| record(number, false)).collect();
    for (number, record) in records.iter_mut().enumerate() {
        record["sourceIPAddress"] =
            json!(if number < 690 { "s3.amazonaws.com".into() } else { format!("198.51.100.{}", number - 600) });
    }
    aws::put_object(&moto.s3(), &bucket, "b.json.gz", gzip(&log(&records)).unwrap()).await.unwrap();
    let tally = function.invoke(&s3_event(&bucket, &["b.json.gz"])).await.unwrap()["tally"].take();
    let own = &tally["analytics"];
    assert_eq!((&own["excluded"], &own["recorded"]), (&json!(690), &json!(9)), "{own}");
}

/// Where the trail records its own bucket, what reads the logs makes no events.
#[tokio::test]
async fn reads_of_the_logs_themselves_are_excluded() {
    let site = Site::new().await;
    let (moto, bucket) = put(&[]).await;
    let mut records = [record(1, false), record(2, false), record(3, true)];
    let own = json!({"bucketName": bucket, "key": "AWSLogs/1/CloudTrail/eu-central-1/2026/03/10/a.json.gz"});
    records[0]["requestParameters"] = own.clone();
    records[1]["requestParameters"] = json!({"bucketName": "elsewhere", "key": own["key"]});
    aws::put_object(&moto.s3(), &bucket, "a.json.gz", gzip(&log(&records)).unwrap()).await.unwrap();
    let function = function(&site, "lambda-cloudtrail", &[("AWS_ENDPOINT_URL", moto.endpoint())]);
    let tally = function.invoke(&s3_event(&bucket, &["a.json.gz"])).await.unwrap()["tally"].take();
    let own = &tally["analytics"];
    assert_eq!((&own["events"], &own["excluded"], &own["recorded"]), (&json!(3), &json!(1), &json!(2)), "{own}");
}

#[tokio::test]
async fn the_function_url_sends_what_it_can_at_once() {
    let site = Site::new().await;
    let function = function(&site, "lambda-minio-http", &[("WEBHOOK_AUTH_TOKEN", "t")]);
    let post = |body: Vec<u8>| UrlRequest::post("/auditlogs/processor", body).header("authorization", "t");
    let entries = [entry(1, |_| {})];
    let answer = function.request(&post(lines(&entries))).await.unwrap();
    assert_eq!(answer.status, 200);
    site.metering.has_exactly(&super::billed([1], &entries)).await.unwrap();
    assert_eq!(site.events().await.len(), 1);
    site.fault(json!({"target": "event", "hang": true})).await;
    let entries = [entry(2, |own| own["remotehost"] = json!("198.51.100.2"))];
    assert_eq!(function.request(&post(lines(&entries))).await.unwrap().status, 200);
    assert!(function.log().contains(r#""ambiguous":1"#), "{}", function.log());
}

#[tokio::test]
async fn the_queue_carries_reads_beside_downloads() {
    let site = Site::new().await;
    let moto = Moto::shared().await.unwrap();
    let queue = aws::create_queue(&moto.sqs(), &format!("entries-{}", uuid::Uuid::new_v4()), &[]).await.unwrap();
    let more = [("WEBHOOK_AUTH_TOKEN", "t"), ("QUEUE_URL", queue.as_str()), ("AWS_ENDPOINT_URL", moto.endpoint())];
    let function = function(&site, "lambda-minio-http", &more);
    let entries =
        [entry(1, |_| {}), super::notification(&entry(1, |_| {})), entry(2, |own| own["userAgent"] = json!("curl/8"))];
    let post = UrlRequest::post("/auditlogs/processor", lines(&entries)).header("authorization", "t");
    assert_eq!(function.request(&post).await.unwrap().status, 200);
    assert!(site.events().await.is_empty());
    let source = EventSource::new(moto.sqs(), &queue, 10).await.unwrap();
    let outcomes = source.drain_all(&function, super::LIMIT).await.unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.failed.is_empty()), "{outcomes:?}");
    assert_eq!(site.events().await.len(), 2);
    site.metering.has_exactly(&super::billed([1, 2], &[entries[0].clone(), entries[2].clone()])).await.unwrap();
}
