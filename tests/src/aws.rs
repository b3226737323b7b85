//! AWS clients for an endpoint on this machine, with credentials that open nothing.

use anyhow::{Context, Result};
use audit_core::aws::{AwsCredentials, AwsSettings};

/// The region of everything in the tests.
pub const REGION: &str = "eu-central-1";
/// The access key that functions and clients of the tests use.
pub const ACCESS_KEY: &str = "testing";
/// The secret of [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "testing-secret";

fn settings(endpoint: &str) -> AwsSettings {
    AwsSettings {
        region: REGION.to_owned(),
        endpoint: Some(endpoint.to_owned()),
        credentials: Some(AwsCredentials {
            access_key_id: ACCESS_KEY.to_owned(),
            secret_access_key: SECRET_KEY.into(),
            session_token: None,
        }),
        ..AwsSettings::default()
    }
}

/// An S3 client, with path style.
#[must_use]
pub fn s3(endpoint: &str) -> aws_sdk_s3::Client {
    settings(endpoint).s3()
}

/// An SQS client.
#[must_use]
pub fn sqs(endpoint: &str) -> aws_sdk_sqs::Client {
    settings(endpoint).sqs()
}

/// A DynamoDB client.
#[must_use]
pub fn dynamodb(endpoint: &str) -> aws_sdk_dynamodb::Client {
    settings(endpoint).dynamodb()
}

/// A Secrets Manager client.
#[must_use]
pub fn secrets(endpoint: &str) -> aws_sdk_secretsmanager::Client {
    settings(endpoint).secrets_manager()
}

/// Makes a bucket.
///
/// # Errors
/// When the server refuses.
pub async fn create_bucket(s3: &aws_sdk_s3::Client, bucket: &str) -> Result<()> {
    let location = aws_sdk_s3::types::CreateBucketConfiguration::builder().location_constraint(REGION.into()).build();
    let request = s3.create_bucket().bucket(bucket).create_bucket_configuration(location);
    request.send().await.with_context(|| format!("create bucket {bucket}"))?;
    Ok(())
}

/// Stores `body` under `key`.
///
/// # Errors
/// When the server refuses.
pub async fn put_object(s3: &aws_sdk_s3::Client, bucket: &str, key: &str, body: impl Into<bytes::Bytes>) -> Result<()> {
    let request = s3.put_object().bucket(bucket).key(key).body(body.into().into());
    request.send().await.with_context(|| format!("put s3://{bucket}/{key}"))?;
    Ok(())
}

/// The bytes stored under `key`.
///
/// # Errors
/// When there are none.
pub async fn get_object(s3: &aws_sdk_s3::Client, bucket: &str, key: &str) -> Result<bytes::Bytes> {
    let answer = s3.get_object().bucket(bucket).key(key).send().await;
    let answer = answer.with_context(|| format!("get s3://{bucket}/{key}"))?;
    Ok(answer.body.collect().await?.into_bytes())
}

/// All keys in `bucket` that start with `prefix`, sorted.
///
/// # Errors
/// When the server refuses.
pub async fn list_keys(s3: &aws_sdk_s3::Client, bucket: &str, prefix: &str) -> Result<Vec<String>> {
    let mut pages = s3.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.with_context(|| format!("list s3://{bucket}/{prefix}"))?;
        keys.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
    }
    keys.sort();
    Ok(keys)
}

/// Makes an SQS queue with the given attributes and answers its URL.
///
/// # Errors
/// When the server refuses.
pub async fn create_queue(sqs: &aws_sdk_sqs::Client, name: &str, attributes: &[(&str, &str)]) -> Result<String> {
    let mut request = sqs.create_queue().queue_name(name);
    for (key, value) in attributes {
        request = request.attributes((*key).into(), *value);
    }
    let answer = request.send().await.with_context(|| format!("create queue {name}"))?;
    answer.queue_url.context("a created queue has a URL")
}

/// The ARN of a queue.
///
/// # Errors
/// When there is no such queue.
pub async fn queue_arn(sqs: &aws_sdk_sqs::Client, queue_url: &str) -> Result<String> {
    let wanted = aws_sdk_sqs::types::QueueAttributeName::QueueArn;
    let request = sqs.get_queue_attributes().queue_url(queue_url).attribute_names(wanted.clone());
    let answer = request.send().await.context("queue attributes")?;
    let arn = answer.attributes().and_then(|all| all.get(&wanted)).cloned();
    arn.context("a queue has an ARN")
}
