//! Log bucket → notification → queue → function → rows.

use std::time::Duration;

use e2e::fake_aws::FakeAws;
use e2e::fixture::{gzip, log, log_of, s3_event, sqs_event};
use e2e::metering::CLIENT_SECRET;
use e2e::{Function, Get, Metering};
use serde_json::json;

use super::{LIMIT, Queue, Stack, key, sum, tallies};

#[tokio::test]
async fn what_is_put_into_the_bucket_becomes_rows_and_poison_becomes_a_dead_letter() {
    let stack = Stack::new().await;
    let queue = Queue::new().await;
    // Its first message is S3's own test event.
    stack.notify(&queue).await;
    let gets = Get::many(1..=40);
    for (number, some) in (1..).zip(gets.chunks(4)) {
        stack.log(number, some).await;
    }
    // Downloads that are in a file above already, and one that cannot be billed.
    let mut records: Vec<_> = gets[..6].iter().map(Get::cloudtrail).collect();
    records.push(Get::new(99).cloudtrail());
    records[6]["additionalEventData"]["bytesTransferredOut"] = json!(12.5);
    stack.put(&key(50), gzip(&log(&records)).unwrap()).await;
    let broken = log_of(&Get::many(60..=90)).unwrap();
    stack.put(&key(60), broken[..broken.len() / 2].to_vec()).await;

    let function = Function::new(stack.spec("lambda-cloudtrail").env("CLOUDTRAIL_BUCKET", &stack.bucket)).unwrap();
    let outcomes = queue.source.drain_all(&function, LIMIT).await.unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.error.is_none()), "{outcomes:?}");
    // Only the poison ever came back, and nothing waited for it: all others went with the first round.
    assert!(outcomes.iter().all(|outcome| outcome.failed.len() <= 1), "{outcomes:?}");
    assert_eq!(queue.dead.remaining().await.unwrap(), 1);
    stack.metering.has_exactly(&gets).await.unwrap();

    let tallies = tallies(&function);
    assert_eq!(sum(&tallies, "/delivered"), 40);
    assert_eq!((sum(&tallies, "/duplicates"), sum(&tallies, "/quarantined/invalid_bytes")), (6, 1));
    assert_eq!((sum(&tallies, "/objects/skipped"), sum(&tallies, "/objects/failed")), (1, 3), "{tallies:?}");
    let quarantined = stack.quarantined().await;
    let [line] = quarantined.as_slice() else { panic!("{quarantined:?}") };
    assert_eq!((&line["reason"], &line["id"]), (&json!("invalid_bytes"), &json!(Get::new(99).id())));
    assert!(function.log().contains("gzip data is cut off"), "{}", function.log());
}

#[tokio::test]
async fn a_cold_start_for_each_event_bills_each_download_once_and_reads_each_secret_once() {
    let stack = Stack::new().await;
    let queue = Queue::new().await;
    stack.notify(&queue).await;
    let secrets = FakeAws::start().await.unwrap();
    let arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:client";
    secrets.secret(arn, CLIENT_SECRET);
    let spec = stack.spec("lambda-cloudtrail").env("CLIENT_SECRET_ARN", arn);
    let function = Function::new(spec.env("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.endpoint())).unwrap();

    let gets = Get::many(1..=12);
    let mut starts = 0;
    for (number, some) in (1..).zip(gets.chunks(3)) {
        // Each file has the downloads of the one before it, too.
        let seen = usize::try_from(number - 1).unwrap() * 3;
        stack.log(number, &[&gets[seen.saturating_sub(3)..seen], some].concat()).await;
        while queue.source.remaining().await.unwrap() > 0 {
            function.recycle().await;
            starts += u64::from(queue.source.poll(&function).await.unwrap().is_some());
        }
    }
    assert_eq!(secrets.calls("SecretsManager.GetSecretValue"), starts);
    stack.metering.has_exactly(&gets).await.unwrap();
    assert_eq!(sum(&tallies(&function), "/duplicates"), 9);

    // Warm, no secret is read again, and no token fetched: it is good for longer than that.
    let tokens = tokens(&stack.metering).await;
    for number in 20..25 {
        stack.log(number, &[Get::new(number)]).await;
        queue.source.drain_all(&function, LIMIT).await.unwrap();
    }
    assert_eq!(secrets.calls("SecretsManager.GetSecretValue"), starts);
    assert_eq!(self::tokens(&stack.metering).await, tokens);
    stack.metering.has_exactly(gets.iter().chain(&Get::many(20..25))).await.unwrap();
}

/// How many tokens the auth server was asked for.
async fn tokens(metering: &Metering) -> u64 {
    let requests = metering.upstreams().get("/_dev/requests").await.unwrap();
    requests["auth"].as_object().unwrap().values().filter_map(serde_json::Value::as_u64).sum()
}

#[tokio::test]
async fn a_file_that_stops_in_the_middle_at_the_deadline_comes_again_whole() {
    let metering = Metering::start().await.unwrap();
    let aws = FakeAws::start().await.unwrap();
    let (slow, quick) = (Get::many(1..=2000), Get::many(5001..=5003));
    let body = log_of(&slow).unwrap();
    aws.put("logs", &key(1), body.clone());
    aws.put("logs", &key(2), log_of(&quick).unwrap());
    aws.drip("logs", &key(1), body.len() / 2);
    let mut spec = e2e::FunctionSpec::new("lambda-cloudtrail").unwrap();
    spec.environment = metering.environment();
    let spec = spec.env("LEDGER_URL", "memory:").env("AWS_ENDPOINT_URL", aws.endpoint());
    let function = Function::new(spec).unwrap();

    let message = |number| s3_event("logs", &[&key(number)]).to_string();
    let event = sqs_event(&[("slow", message(1)), ("quick", message(2))]);
    let answer = function.invoke_within(&event, Duration::from_secs(14)).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "slow"}]}), "{}", function.log());
    assert!(function.log().contains("not read before the end of the invocation"), "{}", function.log());
    // Half of its records were seen, and none of them counts.
    metering.has_exactly(&quick).await.unwrap();
    assert_eq!(tallies(&function)[0]["records"], 3);

    aws.flow();
    let answer = function.invoke(&sqs_event(&[("slow", message(1))])).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    metering.has_exactly(slow.iter().chain(&quick)).await.unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_all_be_delivered_in_time_is_finished_by_the_next_invocation() {
    let stack = Stack::new().await;
    let queue = Queue::new().await;
    stack.notify(&queue).await;
    let gets = Get::many(1..=24);
    stack.log(1, &gets).await;
    stack.metering.upstreams().fault(&json!({"target": "execution", "delay_ms": 1500})).await.unwrap();
    // Eight seconds of work, of which four are kept free for an answer: two or three requests.
    let spec = stack.spec("lambda-cloudtrail").env("BATCH_MAX_RECORDS", "4").timeout(Duration::from_secs(10));
    let function = Function::new(spec).unwrap();
    let outcomes = queue.source.poll(&function).await.unwrap();
    let rows = stack.metering.rows().await.unwrap().len();
    assert!(rows < gets.len(), "all was delivered in one invocation: {outcomes:?}");

    stack.metering.upstreams().clear_faults().await.unwrap();
    queue.source.drain_all(&function, LIMIT).await.unwrap();
    stack.metering.has_exactly(&gets).await.unwrap();
    assert_eq!(queue.dead.remaining().await.unwrap(), 0);
    assert_eq!(sum(&tallies(&function), "/delivered"), 24);
}
