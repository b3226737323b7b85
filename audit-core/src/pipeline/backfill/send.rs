//! Messages into a queue, ten at a time: what SQS does not take is tried again, message by message.

use std::time::Duration;

use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchError;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use tokio::time::{Instant, sleep_until};

use super::list::Listed;
use super::messages::Message;
use crate::client::retry::Backoff;

/// Some minutes in all, beside the SDK's own tries of each request.
const TRIES: Backoff = Backoff { first: Duration::from_millis(500), cap: Duration::from_secs(20), tries: 6 };
const LONG: Duration = Duration::from_mins(5);

/// Sends to one queue.
#[derive(Debug)]
pub struct Sender {
    sqs: aws_sdk_sqs::Client,
    url: String,
    requests: u64,
}

/// What became of the messages of one request.
#[derive(Debug, Default)]
pub struct Sent {
    /// Files of messages that SQS has taken.
    pub taken: Vec<Listed>,
    /// Messages that it has taken.
    pub messages: u64,
    /// Files of messages that it has not taken, each with why.
    pub refused: Vec<(Listed, String)>,
    /// Why no further request would fare better: what to mend.
    pub hopeless: Option<SqsError>,
}

/// SQS refuses requests as a whole, or cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("queue: {0}")]
pub struct SqsError(String);

impl Sender {
    /// Sends to the queue at `url`.
    #[must_use]
    pub fn new(sqs: aws_sdk_sqs::Client, url: &str) -> Self {
        Self { sqs, url: url.to_owned(), requests: 0 }
    }

    /// How many requests were made so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Sends one request's messages and tries again what fails. What it tells as taken is in the queue; of what it tells as
    /// refused, an answer that was lost may hide that it is too.
    pub async fn send(&mut self, messages: Vec<Message>) -> Sent {
        let mut sent = Sent::default();
        let mut left: Vec<(Message, String)> = messages.into_iter().map(|own| (own, String::new())).collect();
        let (mut waits, until) = (TRIES.start(), Instant::now() + LONG);
        while !left.is_empty() {
            left = self.once(left, &mut sent).await;
            if left.is_empty() || sent.hopeless.is_some() {
                break;
            }
            let Some(at) = waits.next(None, until) else { break };
            sleep_until(at).await;
        }
        for (message, why) in left {
            sent.refused.extend(message.files.into_iter().map(|file| (file, why.clone())));
        }
        sent
    }

    /// One request; what is worth another comes back with the reason.
    async fn once(&mut self, left: Vec<(Message, String)>, sent: &mut Sent) -> Vec<(Message, String)> {
        let mut request = self.sqs.send_message_batch().queue_url(&self.url);
        for (number, (message, _)) in left.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(&message.body);
            match entry.build() {
                Ok(entry) => request = request.entries(entry),
                Err(error) => sent.hopeless = Some(SqsError(error.to_string())),
            }
        }
        self.requests += 1;
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let (why, hopeless) = advice(&error);
                if hopeless || sent.hopeless.is_some() {
                    sent.hopeless.get_or_insert(SqsError(why.clone()));
                }
                return left.into_iter().map(|(message, _)| (message, why.clone())).collect();
            }
        };
        let mut back = Vec::new();
        for (number, (message, _)) in left.into_iter().enumerate() {
            let id = number.to_string();
            if answer.successful().iter().any(|own| own.id() == id) {
                sent.messages += 1;
                sent.taken.extend(message.files);
                continue;
            }
            match answer.failed().iter().find(|own| own.id() == id) {
                Some(own) if own.sender_fault() => {
                    let why = format!("SQS refuses the message: {}", own.code());
                    sent.refused.extend(message.files.into_iter().map(|file| (file, why.clone())));
                }
                Some(own) => back.push((message, format!("SQS answered {}", own.code()))),
                None => back.push((message, "SQS said nothing of the message".to_owned())),
            }
        }
        back
    }
}

/// What a refusal of the whole request means, and whether another try is no use.
fn advice(error: &SdkError<SendMessageBatchError>) -> (String, bool) {
    match error.code() {
        Some("AccessDenied" | "AccessDeniedException") => (
            "access denied: sending needs sqs:SendMessage on the queue, and kms:GenerateDataKey where it is encrypted"
                .to_owned(),
            true,
        ),
        Some(code) if code.contains("NonExistentQueue") || code.contains("QueueDoesNotExist") => {
            ("no such queue: expected the URL of the queue that lambda-cloudtrail reads".to_owned(), true)
        }
        Some(
            code
            @ ("InvalidAddress" | "InvalidClientTokenId" | "SignatureDoesNotMatch" | "UnrecognizedClientException"),
        ) => (
            format!("SQS answered {code}: expected a queue's URL, its region in AWS_REGION, and valid credentials"),
            true,
        ),
        Some(code) => (format!("SQS answered {code}"), false),
        None => (format!("SQS could not be reached: {}", DisplayErrorContext(error)), false),
    }
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::method;
    use wiremock::{Mock, MockServer, Request, ResponseTemplate};

    use super::*;
    use crate::aws::AwsSettings;

    fn message(key: &str) -> Message {
        let file = Listed { key: key.to_owned(), etag: String::new(), size: 1, archived: false };
        Message { body: key.to_owned(), files: vec![file] }
    }

    fn sender(server: &MockServer) -> Sender {
        Sender::new(AwsSettings::of_server(server.uri()).sqs(), &format!("{}/1/logs", server.uri()))
    }

    /// Takes `good`, calls `bad` the sender's fault, and lets any other through only when it comes alone.
    fn answer(request: &Request) -> ResponseTemplate {
        let asked: serde_json::Value = request.body_json().unwrap();
        let entries = asked["Entries"].as_array().unwrap();
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in entries {
            let (id, body) = (&entry["Id"], entry["MessageBody"].as_str().unwrap());
            let fail = |code, fault| serde_json::json!({"Id": id, "Code": code, "SenderFault": fault});
            match body {
                "bad" => failed.push(fail("InvalidMessageContents", true)),
                "good" => successful.push(id),
                _ if entries.len() == 1 => successful.push(id),
                _ => failed.push(fail("InternalError", false)),
            }
        }
        let taken: Vec<_> = successful
            .iter()
            .map(|id| serde_json::json!({"Id": id, "MessageId": "m", "MD5OfMessageBody": "d41d8cd98f00b204e9800998ecf8427e"}))
            .collect();
        ResponseTemplate::new(200).set_body_json(serde_json::json!({"Successful": taken, "Failed": failed}))
    }

    #[tokio::test]
    async fn what_sqs_does_not_take_is_tried_again_and_what_it_refuses_is_named() {
        let server = MockServer::start().await;
        Mock::given(method("POST")).respond_with(answer).mount(&server).await;
        let mut sender = sender(&server);
        let sent = sender.send(vec![message("good"), message("bad"), message("later")]).await;
        let keys: Vec<_> = sent.taken.iter().map(|own| own.key.as_str()).collect();
        assert_eq!((keys, sent.messages, sender.requests()), (vec!["good", "later"], 2, 2));
        let [(refused, why)] = sent.refused.as_slice() else { panic!("{sent:?}") };
        assert_eq!((refused.key.as_str(), why.as_str()), ("bad", "SQS refuses the message: InvalidMessageContents"));
        assert!(sent.hopeless.is_none());
    }

    #[tokio::test]
    async fn a_queue_that_is_not_there_ends_it_at_once() {
        let server = MockServer::start().await;
        let body = serde_json::json!({"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no"});
        let gone = ResponseTemplate::new(400).set_body_json(body);
        Mock::given(method("POST")).respond_with(gone).expect(1).mount(&server).await;
        let sent = sender(&server).send(vec![message("good")]).await;
        assert_eq!(sent.refused.len(), 1);
        assert!(sent.hopeless.unwrap().to_string().contains("no such queue"));
    }
}
