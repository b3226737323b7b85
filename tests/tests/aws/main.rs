//! The functions as the template wires them, with AWS emulated: notifications and queues, batches that fail in part, dead
//! letters, a ledger in `DynamoDB`, secrets in Secrets Manager, and rows in `PostgreSQL` at the end.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, which fail by a panic"
)]

mod logs;
mod many;
mod posts;
mod refusals;
mod timeouts;

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration};
use e2e::fixture::{adds_up, log_of};
use e2e::metering::CLIENT_SECRET;
use e2e::{EventSource, Function, FunctionSpec, Get, Metering, Moto, aws};
use serde_json::{Value, json};

/// How long a queue may take to run dry, on a machine that has other things to do.
const LIMIT: Duration = Duration::from_mins(10);

/// A queue and its dead letters.
struct Queue {
    source: EventSource,
    dead: EventSource,
    url: String,
    arn: String,
}

impl Queue {
    /// Messages are handed out three times, then they are dead.
    async fn new() -> Self {
        let sqs = Moto::shared().await.unwrap().sqs();
        let name = format!("stack-{}", uuid::Uuid::new_v4());
        let dead = aws::create_queue(&sqs, &format!("{name}-dead"), &[]).await.unwrap();
        let dead_arn = aws::queue_arn(&sqs, &dead).await.unwrap();
        let redrive = json!({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 3}).to_string();
        let attributes = [("RedrivePolicy", redrive.as_str()), ("VisibilityTimeout", "1800")];
        let url = aws::create_queue(&sqs, &name, &attributes).await.unwrap();
        Self {
            arn: aws::queue_arn(&sqs, &url).await.unwrap(),
            source: EventSource::new(sqs.clone(), &url, 10).await.unwrap().hurried(),
            dead: EventSource::new(sqs, &dead, 10).await.unwrap(),
            url,
        }
    }
}

/// What the template makes: buckets, a table, secrets, and the variables that tell the functions of them.
struct Stack {
    metering: Metering,
    moto: &'static Moto,
    bucket: String,
    environment: Vec<(String, String)>,
}

impl Stack {
    async fn new() -> Self {
        let (metering, moto) = (Metering::start().await.unwrap(), Moto::shared().await.unwrap());
        let name = format!("stack-{}", uuid::Uuid::new_v4());
        let kept = format!("{name}-kept");
        for bucket in [&name, &kept] {
            aws::create_bucket(&moto.s3(), bucket).await.unwrap();
        }
        table(moto, &name).await;
        let arn = secret(moto, &format!("{name}-client"), CLIENT_SECRET).await;
        let mut environment = metering.environment();
        environment.retain(|(variable, _)| variable != "CLIENT_SECRET");
        for (variable, value) in [
            ("CLIENT_SECRET_ARN", arn),
            ("LEDGER_URL", format!("dynamodb://{name}")),
            ("QUARANTINE", format!("s3://{kept}/quarantine")),
            ("HELD", format!("s3://{kept}/held")),
            ("AWS_ENDPOINT_URL", moto.endpoint().to_owned()),
        ] {
            environment.retain(|(own, _)| own != variable);
            environment.push((variable.to_owned(), value));
        }
        Self { metering, moto, bucket: name, environment }
    }

    fn spec(&self, binary: &str) -> FunctionSpec {
        FunctionSpec { environment: self.environment.clone(), ..FunctionSpec::new(binary).unwrap() }
    }

    /// Has the bucket tell `queue` of new objects.
    async fn notify(&self, queue: &Queue) {
        let own = QueueConfiguration::builder().queue_arn(&queue.arn).events(Event::S3ObjectCreated).build().unwrap();
        let notification = NotificationConfiguration::builder().queue_configurations(own).build();
        let request = self.moto.s3().put_bucket_notification_configuration().bucket(&self.bucket);
        request.notification_configuration(notification).send().await.unwrap();
    }

    /// Stores a log file as CloudTrail does.
    async fn log(&self, number: u64, gets: &[Get]) {
        self.put(&key(number), log_of(gets).unwrap()).await;
    }

    async fn put(&self, key: &str, body: Vec<u8>) {
        aws::put_object(&self.moto.s3(), &self.bucket, key, body).await.unwrap();
    }

    /// The lines of the quarantine in S3.
    async fn quarantined(&self) -> Vec<Value> {
        let (s3, bucket) = (self.moto.s3(), format!("{}-kept", self.bucket));
        let mut lines = Vec::new();
        for key in aws::list_keys(&s3, &bucket, "quarantine/").await.unwrap() {
            let body = aws::get_object(&s3, &bucket, &key).await.unwrap();
            lines.extend(
                body.split(|byte| *byte == b'\n')
                    .filter(|line| !line.is_empty())
                    .map(|line| serde_json::from_slice::<Value>(line).unwrap()),
            );
        }
        lines
    }
}

fn key(number: u64) -> String {
    format!(
        "AWSLogs/111122223333/CloudTrail/eu-central-1/2026/03/10/\
         111122223333_CloudTrail_eu-central-1_20260310T0815Z_{number:016}.json.gz"
    )
}

/// The ledger's table.
async fn table(moto: &Moto, name: &str) {
    let key = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
    let schema = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let dynamodb = moto.dynamodb();
    let table = dynamodb.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    let table = table.attribute_definitions(key.build().unwrap()).key_schema(schema.build().unwrap());
    table.send().await.unwrap();
}

/// The ARN of a new secret.
async fn secret(moto: &Moto, name: &str, value: &str) -> String {
    let answer = moto.secrets().create_secret().name(name).secret_string(value).send().await.unwrap();
    answer.arn.unwrap()
}

/// The tallies that `function` logged, each of which adds up.
fn tallies(function: &Function) -> Vec<Value> {
    let log = function.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let tallies: Vec<_> =
        lines.filter(|line| line["message"] == "run finished").map(|mut line| line["tally"].take()).collect();
    assert!(tallies.iter().all(adds_up), "{tallies:?}");
    tallies
}

/// The sum of one number over tallies.
fn sum(tallies: &[Value], pointer: &str) -> u64 {
    tallies.iter().filter_map(|tally| tally.pointer(pointer)?.as_u64()).sum()
}
