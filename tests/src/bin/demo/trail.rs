//! The CloudTrail function on two sample logs in S3.

use std::io::Write as _;

use anyhow::{Context, Result, anyhow};
use e2e::{Function, FunctionSpec, aws};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::show::say;

const LOG_BUCKET: &str = "demo-trail";

/// Runs it once on an event that names both; answers its tally.
pub(crate) async fn run(endpoint: &str, sink: Vec<(&'static str, String)>) -> Result<Value> {
    let s3 = aws::s3(endpoint);
    aws::create_bucket(&s3, LOG_BUCKET).await?;
    let mut keys = Vec::new();
    for sample in ["cloudtrail-1", "cloudtrail-2"] {
        let json = crate::samples(&format!("{sample}.json"))?;
        let key = format!("AWSLogs/111122223333/CloudTrail/eu-west-2/2026/03/10/{sample}.json.gz");
        aws::put_object(&s3, LOG_BUCKET, &key, gzip(&json)?).await?;
        say(&format!("s3://{LOG_BUCKET}/{key}"));
        keys.push(key);
    }
    let mut spec =
        FunctionSpec::new("lambda-cloudtrail")?.env("AWS_ENDPOINT_URL", endpoint).env("LEDGER_URL", "memory:");
    for (name, value) in sink {
        spec = spec.env(name, value);
    }
    let function = Function::new(spec)?;
    let answer = function.invoke(&s3_event(&keys)).await;
    let answer = answer.map_err(|error| anyhow!("{}: {}\n{}", error.error_type, error.message, function.log()))?;
    answer.get("tally").cloned().context("an answer with a tally")
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn s3_event(keys: &[String]) -> Value {
    let record = |key: &String| {
        json!({ "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": { "bucket": { "name": LOG_BUCKET }, "object": { "key": key.replace('=', "%3D"), "size": 1024 } } })
    };
    json!({ "Records": keys.iter().map(record).collect::<Vec<_>>() })
}
