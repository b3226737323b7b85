//! Downloads as the audit trails tell of them, with secrets in all the usual places, and the rows that must come of them.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::Result;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use uuid::Uuid;

/// The address that every download comes from.
pub const CLIENT_ADDRESS: &str = "203.0.113.77";
/// The signature of every presigned URL: whoever has it can read the object.
pub const SIGNATURE: &str = "5ec2e75167a70e0a5ec2e75167a70e0a5ec2e75167a70e0a5ec2e75167a70e0a";
/// A credential among the headers of every MinIO entry.
pub const COOKIE: &str = "session=c00c1e5ec2e7";

/// A row of the metering table: user, collection, path, time, bytes.
pub type Row = (String, String, String, String, i64);

/// Rows, with how many there are of each.
pub type Rows = BTreeMap<Row, u64>;

/// One presigned download. Its number makes it different from every other in each of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Get {
    number: u64,
    /// `userId`.
    pub user: String,
    /// `collectionId`.
    pub collection: String,
    /// `itemId`.
    pub item: String,
    /// When, as `YYYY-MM-DDTHH:MM:SS`.
    pub time: String,
    /// Bytes sent.
    pub bytes: u64,
}

impl Get {
    /// The download number `number`.
    #[must_use]
    pub fn new(number: u64) -> Self {
        let id = |kind: u128| Uuid::from_u128((kind << 96) | u128::from(number)).to_string();
        let (minute, second) = (number / 60 % 60, number % 60);
        Self {
            number,
            user: id(0xA11C_E000),
            collection: id(0xC011_EC70),
            item: format!("scene {number}"),
            time: format!("2026-03-10T08:{minute:02}:{second:02}"),
            bytes: 1_000_000 + number,
        }
    }

    /// The downloads with the given numbers.
    pub fn many(numbers: impl IntoIterator<Item = u64>) -> Vec<Self> {
        numbers.into_iter().map(Self::new).collect()
    }

    /// `eventID`, and MinIO's `requestID`.
    #[must_use]
    pub fn id(&self) -> String {
        Uuid::from_u128((0xE7E7_0000 << 96) | u128::from(self.number)).to_string()
    }

    /// The row that it makes.
    #[must_use]
    pub fn row(&self) -> Row {
        let path = format!("stac/collections/{}/items/{}", self.collection, self.item);
        let bytes = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        (self.user.clone(), self.collection.clone(), path, self.time.clone(), bytes)
    }

    /// The CloudTrail record of it.
    #[must_use]
    pub fn cloudtrail(&self) -> Value {
        json!({
            "eventVersion": "1.11",
            "userIdentity": {"type": "IAMUser", "accountId": "111122223333", "userName": "url-signer"},
            "eventTime": format!("{}Z", self.time), "eventSource": "s3.amazonaws.com", "eventName": "GetObject",
            "awsRegion": "eu-central-1", "sourceIPAddress": CLIENT_ADDRESS, "userAgent": "[GDAL/3.8.4]",
            "requestParameters": {
                "bucketName": "scenes", "Host": "scenes.s3.eu-central-1.amazonaws.com",
                "key": format!("scene-{}.tif", self.number),
                "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Date": "20260310T080000Z", "X-Amz-Expires": "900",
                "X-Amz-SignedHeaders": "host",
                "userId": self.user, "collectionId": self.collection, "itemId": self.item, "assetId": "data",
            },
            "responseElements": null,
            "additionalEventData": {
                "SignatureVersion": "SigV4", "CipherSuite": "TLS_AES_128_GCM_SHA256", "bytesTransferredIn": 0,
                "AuthenticationMethod": "QueryString", "x-amz-id-2": "host-id", "bytesTransferredOut": self.bytes,
            },
            "requestID": format!("REQUEST{:09}", self.number), "eventID": self.id(), "readOnly": true,
            "resources": [{"type": "AWS::S3::Object", "ARN": format!("arn:aws:s3:::scenes/scene-{}.tif", self.number)}],
            "eventType": "AwsApiCall", "managementEvent": false, "recipientAccountId": "111122223333",
            "eventCategory": "Data",
        })
    }

    /// MinIO's audit entry of it.
    #[must_use]
    pub fn minio(&self) -> Value {
        let object = format!("scene-{}.tif", self.number);
        json!({
            "version": "1", "deploymentid": "3f1c6f0e-90a3-4f5e-9a51-5a7d0d6f1e20", "time": format!("{}Z", self.time),
            "event": "", "trigger": "incoming",
            "api": {
                "name": "GetObject", "bucket": "scenes", "object": object, "status": "OK", "statusCode": 200, "rx": 0,
                "tx": self.bytes, "timeToResponse": "2301200ns",
            },
            "remotehost": CLIENT_ADDRESS, "requestID": self.id(), "userAgent": "GDAL/3.8.4",
            "requestPath": format!("/scenes/{object}"), "requestHost": "minio.example:9000",
            "requestQuery": {
                "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": "signer/20260310/eu-central-1/s3/aws4_request",
                "X-Amz-Date": "20260310T080000Z", "X-Amz-Expires": "900", "X-Amz-Signature": SIGNATURE,
                "X-Amz-SignedHeaders": "host",
                "userId": self.user, "collectionId": self.collection, "itemId": self.item, "assetId": "data",
            },
            "requestHeader": {"Accept": "*/*", "User-Agent": "GDAL/3.8.4", "Cookie": COOKIE},
            "responseHeader": {"Content-Length": self.bytes.to_string()},
            "tags": {}, "accessKey": "signer",
        })
    }
}

/// The rows of `gets`, one for each.
pub fn rows<'a>(gets: impl IntoIterator<Item = &'a Get>) -> Rows {
    let mut rows = Rows::new();
    for get in gets {
        *rows.entry(get.row()).or_default() += 1;
    }
    rows
}

/// A log file's text.
#[must_use]
pub fn log(records: &[Value]) -> Vec<u8> {
    json!({ "Records": records }).to_string().into_bytes()
}

/// The log file of `gets`, as CloudTrail stores it.
///
/// # Errors
/// None in practice: it is compressed in memory.
pub fn log_of(gets: &[Get]) -> Result<Vec<u8>> {
    gzip(&log(&gets.iter().map(Get::cloudtrail).collect::<Vec<_>>()))
}

/// The body of a POST of `gets`, a line each, as MinIO sends it.
#[must_use]
pub fn post_of(gets: &[Get]) -> Vec<u8> {
    lines(&gets.iter().map(Get::minio).collect::<Vec<_>>())
}

/// Values one after another, a line each.
#[must_use]
pub fn lines(values: &[Value]) -> Vec<u8> {
    values.iter().flat_map(|value| format!("{value}\n").into_bytes()).collect()
}

/// One gzip member.
///
/// # Errors
/// None in practice: it is compressed in memory.
pub fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// An S3 notification of new objects; keys are given plain.
#[must_use]
pub fn s3_event(bucket: &str, keys: &[&str]) -> Value {
    let record = |key: &&str| {
        json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-central-1",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": bucket}, "object": {"key": key.replace(' ', "+"), "size": 1024}},
        })
    };
    json!({ "Records": keys.iter().map(record).collect::<Vec<_>>() })
}

/// What SQS invokes a function with: the messages' ids and bodies.
#[must_use]
pub fn sqs_event(messages: &[(&str, String)]) -> Value {
    let record = |(id, body): &(&str, String)| {
        json!({
            "messageId": id, "receiptHandle": "handle", "body": body, "attributes": {"ApproximateReceiveCount": "1"},
            "messageAttributes": {}, "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:111122223333:logs", "awsRegion": "eu-central-1",
        })
    };
    json!({ "Records": messages.iter().map(record).collect::<Vec<_>>() })
}

/// Whether `tally` is one, and its two equations hold.
#[must_use]
pub fn adds_up(tally: &Value) -> bool {
    let number = |name: &str| tally.get(name).and_then(Value::as_u64);
    let sum = |name: &str| {
        let reasons = tally.get(name)?.as_object()?;
        reasons.values().map(Value::as_u64).sum::<Option<u64>>()
    };
    let check = || -> Option<bool> {
        let downloads = number("downloads")?;
        let records = downloads + sum("skipped")? + number("duplicates")? + sum("quarantined")?;
        Some(records == number("records")? && downloads == number("delivered")? + number("pending")? + number("held")?)
    };
    check() == Some(true)
}
