//! Log files as messages for the function's own queue: S3 notifications, as the log bucket itself sends them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::list::Listed;

/// What S3 leaves as it is in the keys of its notifications.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b'*');

/// The most in one message, and in all messages of one request, in bytes. SQS takes 256 KiB, names and lengths included.
const REQUEST_BYTES: usize = 240 << 10;
/// Messages in one request: SQS takes ten.
const REQUEST_MESSAGES: usize = 10;
/// The most of log files in one message, in bytes: one invocation reads them all, and has a time limit.
const MESSAGE_FILE_BYTES: u64 = 64 << 20;
/// Of a message around its keys, in bytes.
const FRAME_BYTES: usize = r#"{"Records":[]}"#.len();

/// One message, and the log files it names.
#[derive(Debug, Clone)]
pub struct Message {
    /// What is sent.
    pub body: String,
    /// The files.
    pub files: Vec<Listed>,
}

/// Packs log files into messages, and messages into requests.
#[derive(Debug)]
pub struct Packer {
    bucket: String,
    region: String,
    files_max: usize,
    records: Vec<String>,
    files: Vec<Listed>,
    messages: Vec<Message>,
}

impl Packer {
    /// Messages about `bucket`, each with at most `files_max` files.
    #[must_use]
    pub fn new(bucket: &str, region: &str, files_max: usize) -> Self {
        Self {
            bucket: bucket.to_owned(),
            region: region.to_owned(),
            files_max: files_max.max(1),
            records: Vec::new(),
            files: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// Takes a log file; answers a request's messages once they are full.
    pub fn push(&mut self, file: Listed) -> Option<Vec<Message>> {
        let record = self.record(&file);
        let bytes: usize = self.records.iter().map(|own| own.len() + 1).sum::<usize>() + record.len() + FRAME_BYTES;
        let files: u64 = self.files.iter().map(|own| own.size).fold(file.size, u64::saturating_add);
        let full = !self.files.is_empty()
            && (self.files.len() >= self.files_max || bytes > REQUEST_BYTES || files > MESSAGE_FILE_BYTES);
        let request = if full { self.close() } else { None };
        self.records.push(record);
        self.files.push(file);
        request
    }

    /// What is left at the end: up to two requests, the first of which may be empty.
    pub fn finish(&mut self) -> [Vec<Message>; 2] {
        let before = self.close().unwrap_or_default();
        [before, std::mem::take(&mut self.messages)]
    }

    /// Ends the message under way; answers the messages before it where it does not fit to them.
    fn close(&mut self) -> Option<Vec<Message>> {
        if self.files.is_empty() {
            return None;
        }
        let body = format!(r#"{{"Records":[{}]}}"#, self.records.join(","));
        self.records.clear();
        let message = Message { body, files: std::mem::take(&mut self.files) };
        let bytes: usize = self.messages.iter().map(|own| own.body.len()).sum();
        let full = self.messages.len() == REQUEST_MESSAGES || bytes + message.body.len() > REQUEST_BYTES;
        let request = full.then(|| std::mem::take(&mut self.messages)).filter(|messages| !messages.is_empty());
        self.messages.push(message);
        request
    }

    fn record(&self, file: &Listed) -> String {
        json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": self.region, "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": self.bucket},
                "object": {"key": encoded(&file.key), "size": file.size, "eTag": file.etag.trim_matches('"')},
            },
        })
        .to_string()
    }
}

/// A key as notifications have it: form-url-encoded.
fn encoded(key: &str) -> String {
    utf8_percent_encode(key, ENCODED).to_string().replace("%20", "+")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trigger::{Reader, Work};

    fn file(key: &str, size: u64) -> Listed {
        Listed { key: key.to_owned(), etag: "\"e\"".to_owned(), size, archived: false }
    }

    /// All requests that `files` are packed into.
    fn packed(files: Vec<Listed>, files_max: usize) -> Vec<Vec<Message>> {
        let mut packer = Packer::new("logs", "eu-west-1", files_max);
        let mut requests: Vec<_> = files.into_iter().filter_map(|file| packer.push(file)).collect();
        requests.extend(packer.finish().into_iter().filter(|request| !request.is_empty()));
        requests
    }

    fn read(message: &Message) -> Vec<Work> {
        let reader = Reader { request_id: "r", bucket: Some("logs"), max_decompressed_bytes: 1 };
        reader.read(message.body.as_bytes()).unwrap().messages.into_iter().flat_map(|own| own.work.unwrap()).collect()
    }

    proptest! {
        #[test]
        fn the_function_reads_each_file_once_and_sqs_takes_each_request(
            files in prop::collection::vec(("[^/].{0,300}[^/]", 1_u64..(100 << 20)), 1..60), files_max in 1_usize..40,
        ) {
            let files: Vec<Listed> = files.iter().map(|(key, size)| file(key, *size)).collect();
            let requests = packed(files.clone(), files_max);
            let mut seen = Vec::new();
            for request in &requests {
                prop_assert!((1..=REQUEST_MESSAGES).contains(&request.len()));
                prop_assert!(request.iter().map(|own| own.body.len()).sum::<usize>() <= 256 << 10);
                for message in request {
                    prop_assert!((1..=files_max).contains(&message.files.len()));
                    let bytes: u64 = message.files.iter().map(|own| own.size).sum();
                    prop_assert!(message.files.len() == 1 || bytes <= MESSAGE_FILE_BYTES);
                    seen.extend(message.files.clone());
                    let works: Vec<_> = message.files.iter().map(|own| Work::Object {
                        bucket: "logs".to_owned(), key: own.key.clone(), size: Some(own.size),
                    }).collect();
                    if !message.files.iter().any(|own| crate::trigger::no_log(&own.key, Some(own.size)).is_some()) {
                        prop_assert_eq!(read(message), works);
                    }
                }
            }
            prop_assert_eq!(seen, files);
        }
    }

    #[test]
    fn a_thousand_files_are_ten_requests() {
        let files = (0..1000).map(|number| file(&format!("AWSLogs/1/CloudTrail/x/{number}.json.gz"), 7000)).collect();
        let requests = packed(files, 10);
        assert_eq!(requests.iter().map(Vec::len).collect::<Vec<_>>(), [10; 10]);
    }

    #[test]
    fn the_longest_keys_make_smaller_requests() {
        // 1,024 bytes, each of which takes three when encoded.
        let files = (0..200).map(|_| file(&"\u{e9}".repeat(512), 1)).collect();
        let requests = packed(files, 100);
        assert!(requests.len() > 2, "{}", requests.len());
        assert!(requests.iter().flatten().all(|message| message.body.len() <= REQUEST_BYTES));
    }
}
