//! `s3audit backfill`: log files of past days in S3, to rows in PostgreSQL or messages in SQS.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, which fail by a panic"
)]

mod dry_run;
mod enqueue;
mod here;
mod resume;

use std::path::PathBuf;
use std::time::Duration;

use e2e::fixture::{adds_up, log_of};
use e2e::{Get, Metering, Moto, Process, Redis, aws, binary, tools};
use serde_json::Value;

const LIMIT: Duration = Duration::from_mins(3);
const FOLDER: &str = "AWSLogs/111122223333/CloudTrail/eu-central-1";

/// A log bucket, a metering sink, and a ledger in Redis.
struct Past {
    metering: Metering,
    redis: Redis,
    moto: &'static Moto,
    s3: aws_sdk_s3::Client,
    bucket: String,
}

/// What `s3audit` came to.
struct Told {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Told {
    /// The tally, which adds up: the last line on standard error.
    fn tally(&self) -> Value {
        let line = self.stderr.lines().last().unwrap_or_default();
        let tally = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}\n{}", self.stderr));
        assert!(adds_up(&tally), "{tally}");
        tally
    }
}

impl Past {
    async fn new() -> Self {
        let (metering, redis) = (Metering::start().await.unwrap(), Redis::start().await.unwrap());
        let moto = Moto::shared().await.unwrap();
        let (s3, bucket) = (moto.s3(), format!("trail-{}", uuid::Uuid::new_v4()));
        aws::create_bucket(&s3, &bucket).await.unwrap();
        Self { metering, redis, moto, s3, bucket }
    }

    async fn put(&self, key: &str, body: impl Into<bytes::Bytes>) {
        aws::put_object(&self.s3, &self.bucket, key, body).await.unwrap();
    }

    /// Stores a log file of `day` (`2026/03/10`) with `gets` in it, and answers its key.
    async fn log(&self, day: &str, name: &str, gets: &[Get]) -> String {
        let key = format!("{FOLDER}/{day}/{name}.json.gz");
        self.put(&key, log_of(gets).unwrap()).await;
        key
    }

    fn url(&self) -> String {
        format!("s3://{}", self.bucket)
    }

    fn state(&self) -> PathBuf {
        self.metering.place().join("state")
    }

    /// Starts `s3audit` with these arguments and further variables, which win.
    fn start(&self, args: &[&str], more: &[(&str, &str)]) -> Process {
        let mut command = tools::command(&binary("s3audit").unwrap());
        command.current_dir(self.metering.place()).envs(self.metering.environment());
        command.env("AWS_ENDPOINT_URL", self.moto.endpoint()).env("AWS_REGION", aws::REGION);
        command.env("AWS_ACCESS_KEY_ID", aws::ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", aws::SECRET_KEY);
        // The fixtures are of a certain day, whatever day it is now.
        command.env("LEDGER_URL", self.redis.url()).env("LEDGER_TTL", "36500d");
        command.envs(more.iter().copied()).args(args);
        Process::spawn("s3audit", command).unwrap()
    }

    async fn s3audit(&self, args: &[&str], more: &[(&str, &str)]) -> Told {
        told(self.start(args, more)).await
    }

    /// Backfills all of the bucket in March 2026.
    async fn backfill(&self, args: &[&str], more: &[(&str, &str)]) -> Told {
        self.s3audit(&march(&self.url(), args), more).await
    }
}

fn march<'a>(url: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    let days = ["backfill", url, "--from", "2026-03-01", "--to", "2026-03-31", "--state", "state"];
    days.into_iter().chain(args.iter().copied()).collect()
}

async fn told(mut process: Process) -> Told {
    let status = process.exited(LIMIT).await.unwrap().code().unwrap();
    Told { status, stdout: process.stdout(), stderr: process.stderr() }
}
