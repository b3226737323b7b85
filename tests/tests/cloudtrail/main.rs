//! The CloudTrail function: log files in S3, every way in, to rows in PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, which fail by a panic"
)]

mod deadline;
mod delivery;
mod files;
mod jobs;
mod objects;
mod start;
mod storage;
mod tls;
mod verdicts;
mod ways_in;

use std::time::Duration;

use e2e::fixture::{adds_up, log_of};
use e2e::{Function, FunctionSpec, Get, Metering, aws};
use serde_json::{Value, json};

use crate::storage::Storage;

/// Time enough for one request upstream, but not for many tries: a request must have ten seconds left.
const SHORT: Duration = Duration::from_secs(18);

/// A function with a log bucket and a metering sink of its own.
struct Trail {
    metering: Metering,
    s3: aws_sdk_s3::Client,
    bucket: String,
    function: Function,
}

impl Trail {
    /// On the emulator.
    async fn new() -> Self {
        Self::on(Storage::moto().await).await
    }

    async fn on(storage: Storage) -> Self {
        Self::on_with(storage, |_| Vec::new()).await
    }

    /// On the emulator, with further variables, which win over the usual ones.
    async fn with(more: impl FnOnce(&Metering) -> Vec<(&'static str, String)>) -> Self {
        Self::on_with(Storage::moto().await, more).await
    }

    async fn on_with(storage: Storage, more: impl FnOnce(&Metering) -> Vec<(&'static str, String)>) -> Self {
        let metering = Metering::start().await.unwrap();
        let more = more(&metering);
        Self::of(storage, metering, more).await
    }

    async fn of(storage: Storage, metering: Metering, more: Vec<(&'static str, String)>) -> Self {
        let s3 = storage.s3();
        let bucket = format!("logs-{}", uuid::Uuid::new_v4());
        aws::create_bucket(&s3, &bucket).await.unwrap();
        let mut spec = FunctionSpec::new("lambda-cloudtrail").unwrap();
        spec.environment = metering.environment();
        spec = spec.env("AWS_ENDPOINT_URL", storage.endpoint()).env("LEDGER_URL", "memory:");
        for (name, value) in more {
            spec = spec.env(name, value);
        }
        Self { metering, s3, bucket, function: Function::new(spec).unwrap() }
    }

    async fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        aws::put_object(&self.s3, &self.bucket, key, body.into()).await.unwrap();
    }

    async fn log(&self, key: &str, gets: &[Get]) {
        self.put(key, log_of(gets).unwrap()).await;
    }

    fn event(&self, keys: &[&str]) -> Value {
        e2e::fixture::s3_event(&self.bucket, keys)
    }

    /// Invokes it with success.
    async fn invoke(&self, event: &Value) -> Value {
        self.function.invoke(event).await.unwrap_or_else(|error| panic!("{error:?}\n{}", self.function.log()))
    }

    /// Invokes it with success and answers the tally, which adds up.
    async fn tally(&self, event: &Value) -> Value {
        let tally = self.invoke(event).await["tally"].take();
        assert!(adds_up(&tally), "{tally}");
        tally
    }

    /// Invokes it, within [`SHORT`], and answers the function error's message.
    async fn failure(&self, event: &Value) -> String {
        let error = self.function.invoke_within(event, SHORT).await.unwrap_err();
        let own = !["Sandbox.", "Runtime.", "Harness"].iter().any(|kind| error.error_type.starts_with(kind));
        assert!(own, "{error:?}\n{}", self.function.log());
        error.message
    }

    /// The tallies of all runs so far, as they were logged.
    fn logged(&self) -> Vec<Value> {
        let log = self.function.log();
        let lines = log.lines().map(|line| {
            serde_json::from_str::<Value>(line)
                .unwrap_or_else(|error| panic!("a log line that is no JSON ({error}): {line}"))
        });
        lines.filter(|line| line["message"] == "run finished").map(|mut line| line["tally"].take()).collect()
    }

    async fn has_exactly(&self, gets: &[Get]) {
        self.metering.has_exactly(gets).await.unwrap();
    }
}

/// `counts` with all that is absent in it as zero.
fn picked(tally: &Value, names: &[&str]) -> Value {
    names.iter().map(|&name| (name.to_owned(), tally[name].clone())).collect::<serde_json::Map<_, _>>().into()
}

/// A tally of `read` good objects with nothing but downloads that were all delivered.
fn all_delivered(read: u64, downloads: u64) -> Value {
    json!({
        "objects": {"read": read, "skipped": 0, "failed": 0}, "records": downloads, "downloads": downloads,
        "skipped": {}, "duplicates": 0, "quarantined": {}, "delivered": downloads, "pending": 0, "held": 0,
        "analytics": {
            "events": 0, "recorded": 0, "dropped": 0, "rejected": 0, "ambiguous": 0, "too_late": 0, "excluded": 0,
            "duplicates": 0, "pending": 0,
        },
    })
}
