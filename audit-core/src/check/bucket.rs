//! The log bucket: listed, and one log file of it read as far as its first bytes, which needs the key that it is encrypted with.

use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata};

use crate::aws::{LOG_FILE, advice};
use crate::finding::Finding;
use crate::trigger::no_log;

/// Listed at most, to find one log file.
const PAGES: usize = 5;
/// Enough to tell what a file is.
const START: &str = "bytes=0-15";

/// Looks for a log file below `prefix` and reads its first bytes.
pub async fn bucket(s3: &aws_sdk_s3::Client, bucket: &str, prefix: &str) -> Vec<Finding> {
    let name = format!("s3://{bucket}/{prefix}");
    let list = s3.list_objects_v2().bucket(bucket).prefix(prefix);
    let mut pages = list.into_paginator().send();
    let mut found = None;
    for _ in 0..PAGES {
        let page = match pages.next().await {
            None => break,
            Some(Ok(page)) => page,
            Some(Err(error)) => {
                return vec![match error.code() {
                    Some("NoSuchBucket") => Finding::Trouble(format!("CLOUDTRAIL_BUCKET: {name}: no such bucket")),
                    Some("AccessDenied") => Finding::Trouble(format!(
                        "CLOUDTRAIL_BUCKET: {name}: access denied to list it: this look and s3audit backfill need s3:ListBucket, and the function \
                         needs it to tell a missing file from a forbidden one"
                    )),
                    Some(
                        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException",
                    ) => Finding::Trouble(format!(
                        "CLOUDTRAIL_REGION: {name} is in another region: set it to the bucket's"
                    )),
                    Some(code) => Finding::Trouble(format!("CLOUDTRAIL_BUCKET: {name}: S3 answered {code}")),
                    None => Finding::Trouble(format!(
                        "CLOUDTRAIL_BUCKET: {name}: S3 could not be reached: {}",
                        DisplayErrorContext(error)
                    )),
                }];
            }
        };
        let size = |own: &aws_sdk_s3::types::Object| own.size.and_then(|size| u64::try_from(size).ok());
        let is_log = |own: &aws_sdk_s3::types::Object| own.key().is_some_and(|key| no_log(key, size(own)).is_none());
        // The last of a page: the newest of a folder.
        found = page.contents.unwrap_or_default().into_iter().rfind(is_log).and_then(|own| own.key);
        if found.is_some() {
            break;
        }
    }
    let Some(key) = found else {
        return vec![Finding::Note(format!(
            "CLOUDTRAIL_BUCKET: {name} can be listed, and no log file is among its first objects: does the trail write there? Data events \
             take up to 15 minutes"
        ))];
    };
    vec![read(s3, bucket, &key).await]
}

async fn read(s3: &aws_sdk_s3::Client, bucket: &str, key: &str) -> Finding {
    let object = match s3.get_object().bucket(bucket).key(key).range(START).send().await {
        Ok(object) => object,
        Err(error) => {
            return Finding::Trouble(format!("CLOUDTRAIL_BUCKET: s3://{bucket}/{key}: {}", advice(&error, &LOG_FILE)));
        }
    };
    let encrypted = object.ssekms_key_id.is_some();
    let start = object.body.collect().await.map(aws_sdk_s3::primitives::AggregatedBytes::into_bytes);
    match start.as_deref() {
        Ok([0x1f, 0x8b, ..] | [b'{', ..]) => Finding::Fine(format!(
            "bucket: s3://{bucket} can be listed, and a log file of it read{} (its first bytes)",
            if encrypted { ", KMS included" } else { "" }
        )),
        Ok(_) => Finding::Note(format!(
            "bucket: s3://{bucket}/{key} can be read, but begins neither as gzip nor as JSON: do other things write to this bucket?"
        )),
        Err(error) => {
            Finding::Trouble(format!("CLOUDTRAIL_BUCKET: s3://{bucket}/{key}: reading it broke off: {error}"))
        }
    }
}
