//! Log files like those of a busy trail, the same for the same seed.

#![allow(clippy::indexing_slicing, reason = "assigning to a key of a JSON object adds it")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use uuid::Uuid;

/// What a trail records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    /// Object reads and writes: six in ten are reads, half of these presigned.
    Data,
    /// Calls to all kinds of services: one in fifty is a read.
    Management,
}

impl Mix {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Management => "mgmt",
        }
    }
}

const AGENTS: [&str; 5] = [
    "[Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0]",
    "[aws-cli/2.15.30 md/awscrt#0.19.19 ua/2.0 os/linux#6.8.0 md/arch#x86_64 lang/python#3.11.8 md/command#s3.cp]",
    "[GDAL/3.8.4]",
    "[aws-sdk-java/2.25.11 Linux/5.15 OpenJDK_64-Bit_Server_VM/17.0.10 vendor/Debian io/sync http/Apache cfg/retry-mode/legacy]",
    "[python-requests/2.32.3]",
];
const WRITES: [&str; 5] = ["PutObject", "HeadObject", "ListObjects", "DeleteObject", "UploadPart"];
const CALLS: [(&str, &str); 6] = [
    ("ec2.amazonaws.com", "DescribeInstances"),
    ("sts.amazonaws.com", "AssumeRole"),
    ("kms.amazonaws.com", "GenerateDataKey"),
    ("iam.amazonaws.com", "GetRole"),
    ("logs.amazonaws.com", "PutLogEvents"),
    ("s3.amazonaws.com", "GetBucketPolicy"),
];

/// The file of this mix and size in `directory`, made if it is not there yet.
pub(crate) fn log_file(directory: &Path, mix: Mix, megabytes: u64) -> Result<PathBuf> {
    let file = directory.join(format!("{}-{megabytes}.json.gz", mix.name()));
    if !file.exists() {
        std::fs::create_dir_all(directory)?;
        write(&file, mix, megabytes)?;
    }
    Ok(file)
}

/// Writes a file of about `megabytes` (of 10⁶ bytes) of text to `path`.
fn write(path: &Path, mix: Mix, megabytes: u64) -> Result<()> {
    let mut trail = Trail { rng: Rng::with_seed(7), second: 0, signers: Vec::new() };
    let partial = path.with_extension("partial");
    let mut gzip = GzEncoder::new(BufWriter::new(File::create(&partial)?), Compression::default());
    gzip.write_all(b"{\"Records\":[")?;
    let mut written = 0;
    while written < megabytes * 1_000_000 {
        if written > 0 {
            gzip.write_all(b",")?;
        }
        let record = trail.record(mix).to_string();
        gzip.write_all(record.as_bytes())?;
        written += record.len() as u64 + 1;
    }
    gzip.write_all(b"]}")?;
    gzip.finish()?.flush()?;
    Ok(std::fs::rename(partial, path)?)
}

/// A trail and how far it got.
struct Trail {
    rng: Rng,
    second: u32,
    signers: Vec<Value>,
}

impl Trail {
    fn record(&mut self, mix: Mix) -> Value {
        self.second += u32::from(self.rng.u8(..5) == 0);
        let reads = match mix {
            Mix::Data => 60,
            Mix::Management => 2,
        };
        if self.rng.u8(..100) < reads {
            let presigned = self.rng.bool();
            return self.object_call("GetObject", presigned);
        }
        match mix {
            Mix::Data => {
                let name = self.one_of(&WRITES);
                self.object_call(name, false)
            }
            Mix::Management => self.service_call(),
        }
    }

    fn object_call(&mut self, name: &str, presigned: bool) -> Value {
        let bucket = format!("archive-{}", self.rng.u8(..6));
        let host = format!("{bucket}.s3.eu-central-1.amazonaws.com");
        let item =
            format!("LC09_L2SP_{:03}{:03}_{:08}", self.rng.u8(..233), self.rng.u8(..248), self.rng.u32(..99_999_999));
        let key = format!("landsat/{item}/{item}_SR_B{}.TIF", self.rng.u8(1..8));
        let mut record = self.frame("s3.amazonaws.com", name);
        record["requestParameters"] = json!({"bucketName": bucket, "Host": host, "key": key});
        if presigned {
            let request = &mut record["requestParameters"];
            request["X-Amz-Algorithm"] = "AWS4-HMAC-SHA256".into();
            request["X-Amz-Date"] = "20251027T101229Z".into();
            request["X-Amz-Expires"] = "900".into();
            request["X-Amz-SignedHeaders"] = "host".into();
            request["userId"] = Uuid::from_u128(u128::from(self.rng.u8(..)) << 64 | 5).to_string().into();
            request["collectionId"] = Uuid::from_u128(u128::from(self.rng.u8(..9)) << 64 | 9).to_string().into();
            request["itemId"] = item.into();
        }
        let sent = self.rng.u32(..400_000_000);
        record["additionalEventData"] = json!({
            "SignatureVersion": "SigV4", "CipherSuite": "TLS_AES_128_GCM_SHA256", "bytesTransferredIn": 0,
            "SSEApplied": "Default_SSE_S3", "x-amz-id-2": self.text(76),
            "AuthenticationMethod": if presigned { "QueryString" } else { "AuthHeader" },
            "bytesTransferredOut": if self.rng.u8(..8) == 0 { json!(f64::from(sent)) } else { json!(sent) },
        });
        if self.rng.u8(..40) == 0 {
            record["errorCode"] = "AccessDenied".into();
            record["errorMessage"] = "Access Denied".into();
        }
        record["resources"] = json!([
            {"type": "AWS::S3::Object", "ARN": format!("arn:aws:s3:::{bucket}/{key}")},
            {"accountId": "111122223333", "type": "AWS::S3::Bucket", "ARN": format!("arn:aws:s3:::{bucket}")},
        ]);
        record["tlsDetails"] = json!({
            "tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256", "clientProvidedHostHeader": host,
        });
        record["managementEvent"] = false.into();
        record["eventCategory"] = "Data".into();
        record
    }

    fn service_call(&mut self) -> Value {
        let (source, name) = self.one_of(&CALLS);
        let mut record = self.frame(source, name);
        let filters: Vec<Value> = (0..self.rng.u8(1..4))
            .map(|nth| json!({"name": format!("tag:{nth}"), "valueSet": {"items": [{"value": self.text(12)}]}}))
            .collect();
        record["requestParameters"] =
            json!({"filterSet": {"items": filters}, "maxResults": 100, "nextToken": self.text(90)});
        record["responseElements"] = match name {
            "AssumeRole" => {
                json!({"credentials": {"sessionToken": self.text(380), "expiration": "Oct 27, 2025, 11:12:30 AM"}})
            }
            _ => Value::Null,
        };
        record["managementEvent"] = true.into();
        record["eventCategory"] = "Management".into();
        record
    }

    /// What all records have.
    fn frame(&mut self, source: &str, name: &str) -> Value {
        let address: [u8; 4] = std::array::from_fn(|_| self.rng.u8(1..));
        json!({
            "eventVersion": "1.11", "userIdentity": self.signer(), "eventTime": self.time(), "eventSource": source,
            "eventName": name, "awsRegion": "eu-central-1", "sourceIPAddress": std::net::Ipv4Addr::from(address),
            "userAgent": self.one_of(&AGENTS), "responseElements": null, "requestID": self.text(16),
            "eventID": Uuid::from_u128(self.rng.u128(..)), "readOnly": true, "eventType": "AwsApiCall",
            "recipientAccountId": "111122223333",
        })
    }

    /// A session of a role; a trail shows the same few again and again.
    fn signer(&mut self) -> Value {
        if self.signers.len() < 40 {
            let (role, id, access) = (format!("workspace-role-{}", self.rng.u16(..)), self.text(17), self.text(16));
            let session = format!("session-{}", self.rng.u32(..));
            self.signers.push(json!({
                "type": "AssumedRole", "principalId": format!("AROA{id}:{session}"), "accountId": "111122223333",
                "arn": format!("arn:aws:sts::111122223333:assumed-role/{role}/{session}"),
                "accessKeyId": format!("ASIA{access}"),
                "sessionContext": {
                    "sessionIssuer": {
                        "type": "Role", "principalId": format!("AROA{id}"), "accountId": "111122223333", "userName": role,
                        "arn": format!("arn:aws:iam::111122223333:role/{role}"),
                    },
                    "attributes": {"creationDate": "2025-10-27T09:58:01Z", "mfaAuthenticated": "false"},
                },
            }));
        }
        let nth = self.rng.usize(..self.signers.len());
        self.signers.get(nth).cloned().unwrap_or_default()
    }

    fn time(&self) -> String {
        let (minute, second) = (self.second / 60, self.second % 60);
        format!("2025-10-{:02}T{:02}:{:02}:{second:02}Z", 1 + minute / 1440 % 28, minute / 60 % 24, minute % 60)
    }

    fn text(&mut self, len: usize) -> String {
        std::iter::repeat_with(|| self.rng.alphanumeric()).take(len).collect()
    }

    fn one_of<T: Copy + Default>(&mut self, these: &[T]) -> T {
        let nth = self.rng.usize(..these.len());
        these.get(nth).copied().unwrap_or_default()
    }
}
