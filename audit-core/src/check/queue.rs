//! An SQS queue that triggers a function: there, hidden for long enough, with a place for what cannot be dealt with.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::get_queue_attributes::GetQueueAttributesError;
use aws_sdk_sqs::types::QueueAttributeName as Name;
use serde_json::Value;

use crate::finding::Finding;

/// As AWS advises: messages must stay hidden for six times the function's time limit.
const TIMES: u32 = 6;
/// With fewer receipts, one hiccup makes a dead letter.
const LEAST_RECEIPTS: u64 = 2;

/// What the queue is measured against.
#[derive(Debug, Clone, Copy)]
pub struct QueueTerms {
    /// The function's time limit.
    pub function_timeout: Duration,
    /// `LEASE_SECONDS`.
    pub lease: Duration,
}

/// Reads the queue's attributes, and those of its dead letters; sends and receives nothing.
pub async fn queue(sqs: &aws_sdk_sqs::Client, url: &str, terms: QueueTerms) -> Vec<Finding> {
    let own = match attributes(sqs, url).await {
        Ok(own) => own,
        Err(error) => return vec![unreadable(&error)],
    };
    let mut findings = vec![Finding::Fine(format!(
        "queue: there, with {} messages waiting and {} being dealt with (read its attributes; nothing was sent)",
        text(&own, &Name::ApproximateNumberOfMessages),
        text(&own, &Name::ApproximateNumberOfMessagesNotVisible),
    ))];
    findings.extend(visibility(text(&own, &Name::VisibilityTimeout), terms));
    match own.get(&Name::RedrivePolicy).and_then(|policy| serde_json::from_str::<Value>(policy).ok()) {
        Some(policy) => findings.extend(redrive(sqs, &policy).await),
        None => findings.push(Finding::Trouble(
            "queue: it has no dead-letter queue: what cannot be dealt with comes again until it expires, and is lost then. Set a \
             RedrivePolicy with a maxReceiveCount that outlasts an outage: receipts come a visibility timeout apart, so 100 at 30 minutes \
             are two days"
                .to_owned(),
        )),
    }
    findings
}

type Attributes = HashMap<Name, String>;

async fn attributes(sqs: &aws_sdk_sqs::Client, url: &str) -> Result<Attributes, SdkError<GetQueueAttributesError>> {
    let asked = sqs.get_queue_attributes().queue_url(url).attribute_names(Name::All).send().await?;
    Ok(asked.attributes.unwrap_or_default())
}

fn text<'a>(attributes: &'a Attributes, name: &Name) -> &'a str {
    attributes.get(name).map_or("an unknown number of", String::as_str)
}

fn visibility(seconds: &str, terms: QueueTerms) -> Vec<Finding> {
    let Ok(visibility) = seconds.parse().map(Duration::from_secs) else {
        return vec![Finding::Note("queue: its visibility timeout is not told".to_owned())];
    };
    let QueueTerms { function_timeout, lease } = terms;
    let least = function_timeout.saturating_mul(TIMES);
    let mut findings = Vec::new();
    if visibility < least {
        findings.push(Finding::Trouble(format!(
            "queue: its visibility timeout is {} s: expected {} s or more, {TIMES} times the function's time limit of {} s \
             (--function-timeout); else messages are handed out again while they are being dealt with",
            visibility.as_secs(),
            least.as_secs(),
            function_timeout.as_secs()
        )));
    } else if visibility <= lease {
        findings.push(Finding::Note(format!(
            "queue: its visibility timeout of {} s is not above LEASE_SECONDS ({} s): what a function left half-way when it was killed may \
             come again before its claims are free, and costs a receipt",
            visibility.as_secs(),
            lease.as_secs()
        )));
    } else {
        findings.push(Finding::Fine(format!(
            "queue: messages stay hidden for {} s, {TIMES} times the function's time limit or more, and longer than a lease",
            visibility.as_secs()
        )));
    }
    findings
}

async fn redrive(sqs: &aws_sdk_sqs::Client, policy: &Value) -> Vec<Finding> {
    let receipts = policy.get("maxReceiveCount");
    let receipts = receipts.and_then(|own| own.as_u64().or_else(|| own.as_str()?.parse().ok())).unwrap_or(0);
    let mut findings = Vec::new();
    if receipts < LEAST_RECEIPTS {
        findings.push(Finding::Trouble(format!(
            "queue: a message is given up after {receipts} receipts: set maxReceiveCount to {LEAST_RECEIPTS} or more (the template has \
             100), so that a short outage makes no dead letters"
        )));
    }
    let name = policy.get("deadLetterTargetArn").and_then(Value::as_str).and_then(|arn| arn.rsplit(':').next());
    let Some(name) = name else { return findings };
    let found = match sqs.get_queue_url().queue_name(name).send().await {
        Ok(answer) => match answer.queue_url {
            Some(url) => attributes(sqs, &url).await.ok(),
            None => None,
        },
        Err(_) => None,
    };
    findings.push(match found.as_ref().map(|own| text(own, &Name::ApproximateNumberOfMessages)) {
        Some("0") => Finding::Fine(format!("queue: after {receipts} receipts messages go to {name}, which is empty")),
        Some(waiting) => Finding::Note(format!(
            "queue: {waiting} messages are in {name}, its dead-letter queue: find the cause in the function's log, mend it, then start a \
             redrive"
        )),
        None => Finding::Note(format!(
            "queue: its dead-letter queue {name} could not be looked at (sqs:GetQueueUrl and sqs:GetQueueAttributes on it)"
        )),
    });
    findings
}

fn unreadable(error: &SdkError<GetQueueAttributesError>) -> Finding {
    Finding::Trouble(match error.code() {
        Some("AccessDenied" | "AccessDeniedException") => {
            "queue: access denied: looking at it needs sqs:GetQueueAttributes; the receiver needs that and sqs:SendMessage".to_owned()
        }
        Some(code) if code.contains("NonExistentQueue") || code.contains("QueueDoesNotExist") => {
            "QUEUE_URL: no such queue: expected the queue's URL as SQS shows it, and its region in AWS_REGION".to_owned()
        }
        Some(code) => format!("QUEUE_URL: SQS answered {code}: expected a queue's URL, its region in AWS_REGION, and valid credentials"),
        None => format!("QUEUE_URL: SQS could not be reached: {}", DisplayErrorContext(error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_must_stay_hidden_for_long_enough() {
        let terms = QueueTerms { function_timeout: Duration::from_mins(5), lease: Duration::from_mins(35) };
        let judged = |seconds: &str| visibility(seconds, terms).remove(0);
        assert!(matches!(judged("1799"), Finding::Trouble(words) if words.contains("expected 1800 s or more")));
        assert!(matches!(judged("1800"), Finding::Note(words) if words.contains("LEASE_SECONDS")));
        assert!(matches!(judged("2101"), Finding::Fine(_)));
        assert!(matches!(judged("soon"), Finding::Note(_)));
    }
}
