//! The log bucket: listed, and one log file of it read as far as its first bytes, which needs the key that it is encrypted with.

use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::list_objects_v2::{ListObjectsV2Error, ListObjectsV2Output};
use aws_sdk_s3::types::Object;

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
    let mut after = None;
    for _ in 0..PAGES {
        let page = match page(s3, bucket, prefix, after).await {
            Ok(page) => page,
            Err(error) => return vec![not_listed(&name, error)],
        };
        let size = |own: &Object| own.size.and_then(|size| u64::try_from(size).ok());
        let is_log = |own: &Object| own.key().is_some_and(|key| no_log(key, size(own)).is_none());
        let objects = page.contents.unwrap_or_default();
        // The last of a page: the newest of a folder.
        if let Some(key) = objects.iter().rfind(|own| is_log(own)).and_then(Object::key) {
            return vec![read(s3, bucket, key).await];
        }
        match objects.last().and_then(Object::key).filter(|_| page.is_truncated == Some(true)) {
            Some(last) => after = Some(beyond(last)),
            None => break,
        }
    }
    vec![Finding::Note(format!(
        "CLOUDTRAIL_BUCKET: {name} can be listed, and no log file is among its first objects: does the trail write there? Data events \
         take up to 15 minutes"
    ))]
}

async fn page(
    s3: &aws_sdk_s3::Client,
    bucket: &str,
    prefix: &str,
    after: Option<String>,
) -> Result<ListObjectsV2Output, SdkError<ListObjectsV2Error>> {
    s3.list_objects_v2().bucket(bucket).prefix(prefix).set_start_after(after).send().await
}

/// Where to list on after `key`: digests and Insights come before the logs of their account, and may be any number.
fn beyond(key: &str) -> String {
    match key.find("/CloudTrail-") {
        Some(at) => format!("{}/CloudTrail-~", key.split_at(at).0),
        None => key.to_owned(),
    }
}

fn not_listed(name: &str, error: SdkError<ListObjectsV2Error>) -> Finding {
    Finding::Trouble(match error.code() {
        Some("NoSuchBucket") => format!("CLOUDTRAIL_BUCKET: {name}: no such bucket"),
        Some("AccessDenied") => format!(
            "CLOUDTRAIL_BUCKET: {name}: access denied to list it: this look and s3audit backfill need s3:ListBucket, and the function \
             needs it to tell a missing file from a forbidden one"
        ),
        Some("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
            format!("CLOUDTRAIL_REGION: {name} is in another region: set it to the bucket's")
        }
        Some(code) => format!("CLOUDTRAIL_BUCKET: {name}: S3 answered {code}"),
        None => {
            format!("CLOUDTRAIL_BUCKET: {name}: S3 could not be reached: {}", DisplayErrorContext(error))
        }
    })
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
