//! Buckets' events: which go to the target, and adding them beside what is there.

use anyhow::{Context, Result, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_s3::operation::head_bucket::HeadBucketError;
use aws_sdk_s3::types::{NotificationConfiguration, QueueConfiguration};

/// A read of an object's body. `s3:ObjectAccessed:*` would tell of HEAD and attributes too.
const READ: &str = "s3:ObjectAccessed:Get";
const ANY_READ: &str = "s3:ObjectAccessed:*";

/// Checks that `bucket` is there.
pub(super) async fn exists(s3: &Client, bucket: &str) -> Result<()> {
    match s3.head_bucket().bucket(bucket).send().await {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(HeadBucketError::is_not_found) => {
            bail!("--bucket {bucket}: expected a bucket that is there")
        }
        Err(error) => bail!("--bucket {bucket}: {}", told(&error)),
    }
}

/// Whether all reads of `bucket` go to `arn`.
pub(super) async fn subscribed(s3: &Client, bucket: &str, arn: &str) -> Result<bool> {
    let now = configuration(s3, bucket).await?;
    Ok(now.queue_configurations().iter().any(|own| covers(own, arn)))
}

/// Adds the reads of `bucket` for `arn` to what is configured.
pub(super) async fn subscribe(s3: &Client, bucket: &str, arn: &str) -> Result<()> {
    let mut wanted = configuration(s3, bucket).await?;
    let added = QueueConfiguration::builder().queue_arn(arn).events(READ.into()).build()?;
    wanted.queue_configurations.get_or_insert_default().push(added);
    let request = s3.put_bucket_notification_configuration().bucket(bucket).notification_configuration(wanted);
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) => bail!("--bucket {bucket}: its events cannot be set: {}", told(&error)),
    }
}

async fn configuration(s3: &Client, bucket: &str) -> Result<NotificationConfiguration> {
    let answer = s3.get_bucket_notification_configuration().bucket(bucket).send().await;
    let answer = answer.map_err(|error| anyhow::anyhow!(told(&error)));
    let answer = answer.with_context(|| format!("--bucket {bucket}: its events cannot be read"))?;
    Ok(NotificationConfiguration::builder()
        .set_queue_configurations(answer.queue_configurations)
        .set_topic_configurations(answer.topic_configurations)
        .set_lambda_function_configurations(answer.lambda_function_configurations)
        .build())
}

/// A configuration with a filter tells of some keys only.
fn covers(own: &QueueConfiguration, arn: &str) -> bool {
    let reads = own.events().iter().any(|event| matches!(event.as_str(), READ | ANY_READ));
    let rules = own.filter().and_then(|filter| filter.key()).map_or(&[][..], |key| key.filter_rules());
    own.queue_arn() == arn && reads && rules.iter().all(|rule| rule.value().unwrap_or_default().is_empty())
}

/// What the server said, or why there is no answer.
pub(super) fn told<E, R>(error: &aws_sdk_s3::error::SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{} ({code})", message.trim_end_matches('.')),
        (Some(code), None) => code.to_owned(),
        (None, _) => DisplayErrorContext(error).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{FilterRule, FilterRuleName, NotificationConfigurationFilter, S3KeyFilter};

    use super::*;

    fn own(event: &str) -> aws_sdk_s3::types::builders::QueueConfigurationBuilder {
        QueueConfiguration::builder().queue_arn("arn").events(event.into())
    }

    #[test]
    fn only_all_reads_for_this_target_will_do() {
        assert!(covers(&own(READ).build().unwrap(), "arn"));
        assert!(covers(&own(ANY_READ).build().unwrap(), "arn"));
        assert!(!covers(&own(READ).build().unwrap(), "another"));
        assert!(!covers(&own("s3:ObjectCreated:*").build().unwrap(), "arn"));
        let rule = |value: &str| FilterRule::builder().name(FilterRuleName::Prefix).value(value).build();
        let some = S3KeyFilter::builder().filter_rules(rule("photos/")).build();
        let filter = NotificationConfigurationFilter::builder().key(some).build();
        assert!(!covers(&own(READ).filter(filter).build().unwrap(), "arn"));
    }
}
