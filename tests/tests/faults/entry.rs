//! Downloads of which each can be told from all others, as MinIO and CloudTrail report them and as they are billed.

use serde_json::{Value, json};

const USERS: [&str; 3] = [
    "d23f0824-128b-4f33-8c5c-7fd0a6a3a450",
    "6513270e-269e-4d37-b2a7-4de452e6b438",
    "0b9e9d0a-7a3e-4a86-9d53-3f5d8e2f6c11",
];
const COLLECTIONS: [&str; 2] = ["6b0d549b-6f03-475a-9600-a35a099950d8", "36f675cc-81e7-4ef5-a8e2-5d940ed90475"];
/// One in so many downloads is billed with the same row as the one before: two parts of a file, fetched within a second.
const TWINS: u64 = 10;

/// One download.
#[derive(Debug, Clone)]
pub(crate) struct Download {
    number: u64,
    /// Whose content it has: its own, or that of its twin.
    content: u64,
    run: String,
}

impl Download {
    pub(crate) fn new(run: &str, number: u64) -> Self {
        let content = if number % TWINS == TWINS - 1 { number - 1 } else { number };
        Self { number, content, run: run.to_owned() }
    }

    /// What is billed, without the storage: `user|collection|item|time|bytes`.
    pub(crate) fn row(&self) -> String {
        [self.user(), self.collection(), &self.item(), &self.time(), &self.bytes().to_string()].join("|")
    }

    /// The audit entry, a line.
    pub(crate) fn minio(&self) -> String {
        let entry = json!({
            "version": "1", "deploymentid": "3f1c6f0e-90a3-4f5e-9a51-5a7d0d6f1e20", "time": self.time(),
            "trigger": "incoming",
            "api": {
                "name": "GetObject", "bucket": "data", "object": format!("scene-{}.tif", self.content), "status": "OK",
                "statusCode": 200, "rx": 0, "tx": self.bytes(),
            },
            "remotehost": "198.51.100.107", "requestID": format!("{}{:016X}", self.run, self.number),
            "userAgent": "GDAL/3.8.4",
            "requestQuery": {
                "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Date": "20260312T000000Z", "X-Amz-Expires": "600",
                "X-Amz-Signature": "0".repeat(64), "X-Amz-SignedHeaders": "host",
                "userId": self.user(), "collectionId": self.collection(), "itemId": self.item(),
            },
            "requestHeader": {"Accept": "*/*"}, "responseHeader": {"Content-Type": "application/octet-stream"},
        });
        format!("{entry}\n")
    }

    /// The record of a log file.
    pub(crate) fn cloudtrail(&self) -> Value {
        json!({
            "eventVersion": "1.11", "eventTime": self.time(), "eventSource": "s3.amazonaws.com",
            "eventName": "GetObject", "awsRegion": "eu-central-1", "sourceIPAddress": "203.0.113.7",
            "userAgent": "[GDAL/3.8.4]",
            "requestParameters": {
                "bucketName": "data", "key": format!("scene-{}.tif", self.content),
                "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Date": "20260312T000000Z", "X-Amz-Expires": "600",
                "X-Amz-SignedHeaders": "host",
                "userId": self.user(), "collectionId": self.collection(), "itemId": self.item(),
            },
            "additionalEventData": {
                "SignatureVersion": "SigV4", "AuthenticationMethod": "QueryString", "bytesTransferredIn": 0,
                "bytesTransferredOut": self.bytes(),
            },
            "requestID": format!("{:016X}", self.number), "eventID": format!("{}-{:08}", self.run, self.number),
            "readOnly": true, "managementEvent": false, "eventType": "AwsApiCall", "eventCategory": "Data",
        })
    }

    fn user(&self) -> &'static str {
        USERS[usize::try_from(self.content % 3).unwrap()]
    }

    fn collection(&self) -> &'static str {
        COLLECTIONS[usize::try_from(self.content % 2).unwrap()]
    }

    fn item(&self) -> String {
        format!("{}-{}", self.run, self.content)
    }

    fn time(&self) -> String {
        let second = self.content % 86_400;
        format!("2026-03-12T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
    }

    fn bytes(&self) -> u64 {
        1000 + self.content
    }
}

/// A log file with `downloads`, plain as CloudTrail writes it before gzip.
pub(crate) fn log_file(downloads: &[Download]) -> Vec<u8> {
    let records: Vec<_> = downloads.iter().map(Download::cloudtrail).collect();
    json!({ "Records": records }).to_string().into_bytes()
}
