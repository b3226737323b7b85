//! Reads on the dashboard: every source drives the stand-in of Plausible, with a real Redis as ledger, and metering stays exact.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests, which fail by a panic"
)]

mod check;
mod lambda;
mod mixed;
mod outages;
mod parallel;
mod receiver;

use std::time::{Duration, Instant};

use audit_core::clock::Clock;
use e2e::receiver::Receiver;
use e2e::{Get, Metering, Process, Redis};
use serde_json::{Value, json};

const PARQUET: &str = "v0.1/spatial/parquet/italy.parquet";
const START_LIMIT: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_secs(90);

/// Both sinks and a Redis of a test's own.
struct Site {
    metering: Metering,
    redis: Redis,
}

impl Site {
    async fn new() -> Self {
        Self { metering: Metering::start().await.unwrap(), redis: Redis::start().await.unwrap() }
    }

    /// The variables of both sinks, and more, which win.
    fn environment(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut environment = self.metering.environment();
        let own = [
            ("LEDGER_URL", self.redis.url()),
            ("PLAUSIBLE_API_URL", self.metering.upstreams().url("")),
            ("PLAUSIBLE_DATA_DOMAIN", "data.example.org".to_owned()),
        ];
        environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
        environment.retain(|(name, _)| !more.iter().any(|(other, _)| name == other));
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        environment
    }

    /// A receiver that has also ended its check of Plausible: a fault set from now on is met by downloads alone.
    async fn receiver(&self, more: &[(&str, &str)]) -> Receiver {
        let environment = self.environment(more);
        let checks = environment.iter().any(|(name, value)| name == "PLAUSIBLE_API_URL" && !value.is_empty());
        let mut receiver = Receiver::start(self.metering.place(), environment).await.unwrap();
        let checked = async |process: &Process| !checks || process.stdout().contains(r#""message":"analytics""#);
        receiver.process().ready(START_LIMIT, checked).await.unwrap();
        receiver
    }

    /// What the stand-in recorded of downloads.
    async fn events(&self) -> Vec<Value> {
        let events = self.metering.upstreams().get("/_dev/events").await.unwrap();
        let recorded = events["recorded"].as_array().unwrap().iter();
        recorded.filter(|event| event["name"] == "S3 Download").cloned().collect()
    }

    async fn fault(&self, fault: Value) {
        self.metering.upstreams().fault(&fault).await.unwrap();
    }
}

/// Waits until every read is settled, and answers how many ended in each outcome.
async fn shown(receiver: &Receiver, reads: u64) -> Value {
    let start = Instant::now();
    loop {
        let metrics = receiver.metrics().await.unwrap();
        let outcome =
            |name: &str| metrics.get(&format!("s3audit_analytics_total{{outcome=\"{name}\"}}")).copied().unwrap_or(0.0);
        let names = ["recorded", "dropped", "rejected", "ambiguous", "too_late", "excluded", "duplicate"];
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of a test's few reads")]
        let counts = names.map(|name| (name, outcome(name) as u64));
        if counts.iter().map(|(_, count)| count).sum::<u64>() == reads {
            return counts
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(name, n)| (name.to_owned(), json!(n)))
                .collect();
        }
        assert!(start.elapsed() < LIMIT, "{metrics:?}\n{}", receiver.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn ago(seconds: u64) -> String {
    (Clock::system().now() - Duration::from_secs(seconds)).to_string()
}

/// A presigned download's audit entry, of a minute ago.
fn entry(number: u64, change: impl FnOnce(&mut Value)) -> Value {
    let mut entry = Get::new(number).minio();
    entry["time"] = json!(ago(60));
    entry["api"]["object"] = json!(PARQUET);
    change(&mut entry);
    entry
}

/// The bucket notification of the same read.
fn notification(entry: &Value) -> Value {
    let key = entry["api"]["object"].as_str().unwrap().replace('/', "%2F");
    json!({"EventName": "s3:ObjectAccessed:Get", "Key": "scenes/key", "Records": [{
        "eventTime": entry["time"], "eventName": "s3:ObjectAccessed:Get",
        "requestParameters": {"sourceIPAddress": entry["remotehost"]},
        "responseElements": {"x-amz-request-id": entry["requestID"], "x-minio-deployment-id": entry["deploymentid"]},
        "s3": {"bucket": {"name": "scenes"}, "object": {"key": key}},
        "source": {"userAgent": entry["userAgent"]},
    }]})
}

/// What RustFS sends of a read like it.
fn envelope(entry: &Value) -> Value {
    let at = (Clock::system().now() - Duration::from_mins(1)).as_millisecond();
    json!({"EventName": "s3:ObjectAccessed:Get", "Key": "scenes/key", "Records": [{
        "version": "1", "deployment_id": "rustfs-1", "time": at, "trigger": "incoming",
        "api": {"name": "s3:GetObject", "bucket": "scenes", "object": entry["api"]["object"], "status_code": 200},
        "remotehost": entry["remotehost"], "requestID": entry["requestID"], "userAgent": entry["userAgent"],
    }]})
}

/// The downloads with these numbers, as metering must have them from [`entry`].
fn billed(numbers: impl IntoIterator<Item = u64>, entries: &[Value]) -> Vec<Get> {
    let time = |get: &Get| {
        let entry = entries.iter().find(|entry| entry["requestID"] == json!(get.id())).unwrap();
        entry["time"].as_str().unwrap()[..19].to_owned()
    };
    let get = |number| {
        let mut get = Get::new(number);
        get.time = time(&get);
        get
    };
    numbers.into_iter().map(get).collect()
}
