//! Faults of the sources: what comes twice, ten times, side by side, half-way, or broken.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use e2e::{Database, Function, FunctionSpec, Moto, Postgres, Redis, Upstreams, aws};
use serde_json::{Value, json};

use crate::account::Account;
use crate::entry::{Download, log_file};
use crate::receiver::{SYNC, World, adds_up, sink};

const LIMIT: Duration = Duration::from_mins(2);
/// As often as Lambda and a queue together may try.
const TRIES: u32 = 6;

/// Log files in S3 and what reads them.
struct Trail {
    database: Database,
    upstreams: Upstreams,
    s3: aws_sdk_s3::Client,
    bucket: String,
    spec: FunctionSpec,
}

impl Trail {
    async fn new(name: &str, ledger: &str) -> Self {
        let database = Postgres::shared().await.unwrap().database().await.unwrap();
        let upstreams = Upstreams::start(&[("DATABASE_URL", database.url())]).await.unwrap();
        let moto = Moto::shared().await.unwrap();
        let s3 = moto.s3();
        let bucket = format!("faults-{name}");
        aws::create_bucket(&s3, &bucket).await.unwrap();
        let mut spec = FunctionSpec::new("lambda-cloudtrail").unwrap();
        spec.environment.extend(sink(&upstreams, SYNC));
        let spec = spec
            .env("AWS_ENDPOINT_URL", moto.endpoint())
            .env("LEDGER_URL", ledger)
            .env("LEASE_SECONDS", "120")
            .env("BATCH_MAX_RECORDS", "50")
            .env("QUARANTINE", format!("s3://{bucket}/quarantine"))
            .env("HELD", format!("s3://{bucket}/held"));
        Self { database, upstreams, s3, bucket, spec }
    }

    async fn put(&self, key: &str, downloads: &[Download]) {
        aws::put_object(&self.s3, &self.bucket, key, log_file(downloads)).await.unwrap();
    }

    fn function(&self) -> Function {
        Function::new(self.spec.clone()).unwrap()
    }

    /// Invokes `function` for one file until it succeeds, and answers its tally and how often it failed.
    async fn read(&self, function: &Function, key: &str) -> (Value, u32) {
        let event = json!({"bucket": self.bucket, "key": key});
        let mut last = None;
        for failures in 0..TRIES {
            match function.invoke(&event).await {
                Ok(answer) => return (answer["tally"].clone(), failures),
                Err(error) => last = Some(error),
            }
        }
        panic!("{key} failed {TRIES} times: {last:?}\n{}", function.log());
    }

    async fn held(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for key in aws::list_keys(&self.s3, &self.bucket, "held/").await.unwrap() {
            let batch = aws::get_object(&self.s3, &self.bucket, &key).await.unwrap();
            let batch: Value = serde_json::from_slice(&batch).unwrap();
            lines.extend(
                batch["lines"].as_array().unwrap().iter().map(|line| line["line"].as_str().unwrap().to_owned()),
            );
        }
        lines
    }

    async fn account(&self, sent: &[Download]) -> Account {
        Account::of(&self.database.connect().await.unwrap(), sent, &self.held().await).await
    }
}

fn downloads(run: &str, count: u64) -> Vec<Download> {
    (0..count).map(|number| Download::new(run, number)).collect()
}

fn number(tally: &Value, field: &str) -> u64 {
    tally[field].as_u64().unwrap_or_else(|| panic!("{field} in {tally}"))
}

fn tally_adds_up(tally: &Value) {
    let all =
        |field: &str| tally[field].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>();
    let records = number(tally, "downloads") + all("skipped") + number(tally, "duplicates") + all("quarantined");
    assert_eq!(number(tally, "records"), records, "{tally}");
    let downloads = number(tally, "delivered") + number(tally, "pending") + number(tally, "held");
    assert_eq!(number(tally, "downloads"), downloads, "{tally}");
}

async fn dynamodb_table(name: &str) {
    let key = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
    let schema = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let dynamodb = Moto::shared().await.unwrap().dynamodb();
    let table = dynamodb.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    let table = table.attribute_definitions(key.build().unwrap()).key_schema(schema.build().unwrap());
    table.send().await.unwrap();
}

/// The same file, and another one with half of its events, each in two sandboxes at once.
async fn the_same_twice_at_once(name: &str, ledger: &str, count: u64) {
    let trail = Trail::new(name, ledger).await;
    let sent = downloads(name, count);
    trail.put("one.json", &sent[..sent.len() * 2 / 3]).await;
    trail.put("two.json", &sent[sent.len() / 3..]).await;
    // Requests that last, so that the sandboxes meet.
    trail.upstreams.fault(&json!({"target": "execution", "delay_ms": 100})).await.unwrap();
    let (a, b, c) = (trail.function(), trail.function(), trail.function());
    let runs = tokio::join!(trail.read(&a, "one.json"), trail.read(&b, "one.json"), trail.read(&c, "two.json"));
    // A run that failed was accounted for in its log; of those that succeeded no download may be counted twice.
    for (tally, _) in [&runs.0, &runs.1, &runs.2] {
        tally_adds_up(tally);
        assert_eq!(number(tally, "pending"), 0, "{tally}");
    }
    let (again, _) = trail.read(&a, "two.json").await;
    assert_eq!(number(&again, "duplicates"), number(&again, "records"), "{again}");
    let account = trail.account(&sent).await;
    account.exact(&format!("one file in two sandboxes at once, and its events in another file ({name})"));
    assert_eq!(account.held, 0);
}

#[tokio::test]
async fn a_file_twice_at_once_with_its_ledger_in_redis() {
    let redis = Redis::start().await.unwrap();
    the_same_twice_at_once("redis", &redis.url(), 1200).await;
}

#[tokio::test]
async fn a_file_twice_at_once_with_its_ledger_in_dynamodb() {
    dynamodb_table("faults-twice").await;
    the_same_twice_at_once("dynamodb", "dynamodb://faults-twice", 240).await;
}

#[tokio::test]
async fn a_file_that_failed_half_way_delivers_the_rest_alone() {
    let redis = Redis::start().await.unwrap();
    let trail = Trail::new("half-way", &redis.url()).await;
    let sent = downloads("half-way", 500);
    trail.put("log.json", &sent).await;
    // Two batches of fifty pass, then nothing does for the whole of one invocation.
    trail.upstreams.fault(&json!({"target": "execution", "after": 2, "status": 404})).await.unwrap();
    let function = trail.function();
    let failed = function.invoke(&json!({"bucket": trail.bucket, "key": "log.json"})).await;
    assert!(failed.is_err(), "{failed:?}");
    trail.upstreams.clear_faults().await.unwrap();
    let (tally, _) = trail.read(&function, "log.json").await;
    tally_adds_up(&tally);
    assert_eq!((number(&tally, "duplicates"), number(&tally, "delivered")), (100, 400), "{tally}");
    let account = trail.account(&sent).await;
    account.exact("a log file that failed half-way, read again");
    assert_eq!(account.held, 0);
}

#[tokio::test]
async fn a_sandbox_that_is_killed_leaves_what_it_was_posting_held() {
    let redis = Redis::start().await.unwrap();
    let mut trail = Trail::new("killed", &redis.url()).await;
    trail.spec = trail.spec.clone().timeout(Duration::from_secs(18)).env("LEASE_SECONDS", "19");
    let sent = downloads("killed", 300);
    trail.put("log.json", &sent).await;
    trail.upstreams.fault(&json!({"target": "execution", "delay_ms": 300})).await.unwrap();
    let function = trail.function();
    let event = json!({"bucket": trail.bucket, "key": "log.json"});
    // Dropping the invocation ends its process, most often in the middle of a request.
    let cut_off = tokio::time::timeout(Duration::from_millis(1500), function.invoke(&event)).await;
    assert!(cut_off.is_err(), "{cut_off:?}");
    trail.upstreams.clear_faults().await.unwrap();
    let deadline = tokio::time::Instant::now() + LIMIT;
    while function.invoke(&event).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "pending for ever:\n{}", function.log());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let account = trail.account(&sent).await;
    account.exact("a log file whose sandbox was killed");
    assert!(account.held <= 50, "{} held", account.held);
}

#[tokio::test]
async fn everything_sent_ten_times_by_sixteen_senders() {
    let mut world = World::new(&[], &[("BATCH_MAX_RECORDS", "500")]).await;
    world.start().await;
    let mut load = world.load("ten-times");
    (load.senders, load.repeats, load.batch) = (16, 9, 20);
    let sent = load.send(0, 2000).await.downloads;
    let metrics = world.settle(LIMIT).await;
    adds_up(&metrics);
    assert_eq!((metrics["delivered_total"], metrics["duplicates_total"]), (2000, 18_000), "{metrics:?}");
    world.account(&sent).await.exact("MinIO sends everything ten times, 16 senders at once");
}

#[tokio::test]
async fn poison_among_ten_thousand_good_entries() {
    let mut world = World::new(&[], &[("BATCH_MAX_RECORDS", "1000")]).await;
    world.start().await;
    let sent = downloads("poison", 10_000);
    let mut body = String::new();
    for (number, download) in sent.iter().enumerate() {
        match number {
            2500 => body.push_str("{\"version\":\"1\",\"api\":{\"name\":\"GetObject\"\n"),
            5000 => body.push_str(&Download::new("bad", 1).minio().replace("\"tx\":1001", "\"tx\":10.5")),
            7500 => body.push_str("not json at all\n"),
            _ => {}
        }
        body.push_str(&download.minio());
    }
    assert_eq!(world.post(&body).await, 200);
    let metrics = world.settle(LIMIT).await;
    adds_up(&metrics);
    assert_eq!((metrics["delivered_total"], metrics["quarantined_total"]), (10_000, 3), "{metrics:?}");
    world.account(&sent).await.exact("poison in the middle of 10,000 good entries (3 quarantined)");
}

#[tokio::test]
async fn an_entry_that_the_server_refuses_leaves_its_batch_alone() {
    let mut world = World::new(&[], &[("BATCH_MAX_RECORDS", "64")]).await;
    // Refused until it stands alone: 64 → 1 is six halvings of the first half, and one more.
    world.upstreams.fault(&json!({"target": "execution", "entry_unreadable": true, "times": 7})).await.unwrap();
    let mut load = world.load("refused-entry");
    load.senders = 1;
    load.batch = 1;
    world.start().await;
    let sent: String = downloads("refused-entry", 64).iter().map(Download::minio).collect();
    assert_eq!(world.post(&sent).await, 200);
    let metrics = world.settle(LIMIT).await;
    adds_up(&metrics);
    assert_eq!((metrics["delivered_total"], metrics["quarantined_total"]), (63, 1), "{metrics:?}");
    world.account(&downloads("refused-entry", 64)[1..]).await.exact("the server refuses one of 64 (1 quarantined)");
}
