//! One real presigned download, for MinIO to tell the receiver of.

use std::time::Duration;

use anyhow::{Result, bail};
use audit_core::client::{Client, Connections, Request, Trust};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use http::header::{RANGE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use uuid::Uuid;

use super::events::told;

const VALID: Duration = Duration::from_mins(1);
const TIMEOUT: Duration = Duration::from_secs(30);
const KEY: &str = "probe";
/// By this the dashboard knows that nobody downloads.
const OWN: &str = concat!("s3audit/", env!("CARGO_PKG_VERSION"));
/// As much as is read of any object: an answer that is broken off may be told to nobody.
const FIRST_BYTE: &str = "bytes=0-0";

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    bucket: String,
    key: String,
}

impl std::str::FromStr for Object {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('/').filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty());
        let (bucket, key) = parts.ok_or("expected BUCKET/KEY")?;
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }
}

/// The client of downloads. It keeps its connection until it is dropped: MinIO may tell nobody of a request whose connection is closed
/// by the time that its entry is queued.
///
/// # Errors
/// When the TLS library refuses its own defaults.
pub(super) fn client() -> Result<Client> {
    Ok(Client::new(Connections::Reused, Trust::Machine)?)
}

/// Downloads a byte of `object` through a presigned URL; without one, of a small object in a bucket made for it, and removed at once.
///
/// The URL carries none of the metering's parameters, so that the download is never billed.
pub(super) async fn download(client: &Client, s3: &aws_sdk_s3::Client, object: Option<&Object>) -> Result<()> {
    if let Some(object) = object {
        return fetch(client, s3, object).await;
    }
    let bucket = format!("s3audit-probe-{}", Uuid::new_v4().simple());
    if let Err(error) = s3.create_bucket().bucket(&bucket).send().await {
        bail!("a bucket for a download cannot be made, name an object with --object BUCKET/KEY: {}", told(&error));
    }
    let object = Object { bucket, key: KEY.to_owned() };
    let fetched = put_and_fetch(client, s3, &object).await;
    let (bucket, key) = (&object.bucket, &object.key);
    // Not there where it could not be put; then the bucket is empty all the same.
    let _ = s3.delete_object().bucket(bucket).key(key).send().await;
    let removed = s3.delete_bucket().bucket(bucket).send().await;
    fetched?;
    match removed {
        Ok(_) => Ok(()),
        Err(error) => bail!("the bucket {bucket}, made for a download, cannot be removed: {}", told(&error)),
    }
}

async fn put_and_fetch(client: &Client, s3: &aws_sdk_s3::Client, object: &Object) -> Result<()> {
    let body = ByteStream::from_static(b"s3audit");
    if let Err(error) = s3.put_object().bucket(&object.bucket).key(&object.key).body(body).send().await {
        bail!("an object for a download cannot be put: {}", told(&error));
    }
    fetch(client, s3, object).await
}

async fn fetch(client: &Client, s3: &aws_sdk_s3::Client, object: &Object) -> Result<()> {
    let request = s3.get_object().bucket(&object.bucket).key(&object.key);
    let presigned = request.presigned(PresigningConfig::expires_in(VALID)?).await?;
    let url = presigned.uri().parse()?;
    let headers = HeaderMap::from_iter([
        (USER_AGENT, HeaderValue::from_static(OWN)),
        (RANGE, HeaderValue::from_static(FIRST_BYTE)),
    ]);
    let answer = client.send(Request { method: Method::GET, url, headers, body: Bytes::new() }, TIMEOUT).await?;
    if answer.status == StatusCode::RANGE_NOT_SATISFIABLE {
        bail!("{}/{} is empty: expected an object that has something to download", object.bucket, object.key);
    }
    if !answer.status.is_success() {
        bail!("the presigned download of {}/{} was answered {}", object.bucket, object.key, answer.status.as_u16());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_a_bucket_and_a_key() {
        let object = Object { bucket: "stac".into(), key: "a/b c.tif".into() };
        assert_eq!("stac/a/b c.tif".parse(), Ok(object));
        for wrong in ["stac", "stac/", "/key", ""] {
            assert!(wrong.parse::<Object>().is_err(), "{wrong}");
        }
    }
}
