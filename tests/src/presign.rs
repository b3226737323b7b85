//! Presigned URLs with parameters of the publisher's own in their query, as those who publish datasets hand them out.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use audit_core::clock::Clock;
use aws_sdk_s3::presigning::PresigningConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;

use crate::aws;

/// What Signature Version 4 leaves as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ENCODED_IN_PATH: &AsciiSet = &ENCODED.remove(b'/');

/// A link to one object, to be signed.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// Bucket name.
    pub bucket: &'a str,
    /// Object key, plain.
    pub key: &'a str,
    /// Further query parameters, plain.
    pub parameters: &'a [(&'a str, &'a str)],
    /// How long it works.
    pub lifetime: Duration,
    /// How long ago it was signed.
    pub age: Duration,
}

impl<'a> Link<'a> {
    /// One that works for a quarter of an hour from now.
    #[must_use]
    pub fn new(bucket: &'a str, key: &'a str, parameters: &'a [(&'a str, &'a str)]) -> Self {
        Self { bucket, key, parameters, lifetime: Duration::from_mins(15), age: Duration::ZERO }
    }

    /// The same, expired.
    #[must_use]
    pub fn expired(self) -> Self {
        Self { lifetime: Duration::from_secs(1), age: Duration::from_mins(1), ..self }
    }

    /// As a URL for `GET`; Signature Version 4 covers the parameters too.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub async fn get(&self, s3: &aws_sdk_s3::Client) -> Result<String> {
        let query = self.query();
        let operation =
            s3.get_object().bucket(self.bucket).key(self.key).customize().map_request(move |mut request| {
                let uri = with_query(request.uri(), &query);
                request.set_uri(uri).map(|()| request)
            });
        let signed = operation.presigned(self.config()?).await.context("presign a GET")?;
        Ok(signed.uri().to_owned())
    }

    /// As a URL for `HEAD`; as [`Link::get`].
    ///
    /// # Errors
    /// When it cannot be signed.
    pub async fn head(&self, s3: &aws_sdk_s3::Client) -> Result<String> {
        let query = self.query();
        let operation =
            s3.head_object().bucket(self.bucket).key(self.key).customize().map_request(move |mut request| {
                let uri = with_query(request.uri(), &query);
                request.set_uri(uri).map(|()| request)
            });
        let signed = operation.presigned(self.config()?).await.context("presign a HEAD")?;
        Ok(signed.uri().to_owned())
    }

    /// As a URL for `GET` under Signature Version 2, which covers none of the parameters.
    ///
    /// # Errors
    /// None in practice: a key of any length will do.
    pub fn get_v2(&self, endpoint: &str) -> Result<String> {
        let since_1970 = self.signed_at().duration_since(SystemTime::UNIX_EPOCH).context("a time after 1970")?;
        let expires = (since_1970 + self.lifetime).as_secs();
        let path = format!("/{}/{}", self.bucket, utf8_percent_encode(self.key, ENCODED_IN_PATH));
        let mut signer = Hmac::<Sha1>::new_from_slice(aws::SECRET_KEY.as_bytes()).context("a key for HMAC")?;
        signer.update(format!("GET\n\n\n{expires}\n{path}").as_bytes());
        let signature = STANDARD.encode(signer.finalize().into_bytes());
        let signature = utf8_percent_encode(&signature, ENCODED);
        let url =
            format!("{endpoint}{path}?AWSAccessKeyId={}&Expires={expires}&Signature={signature}", aws::ACCESS_KEY);
        Ok(with_query(&url, &self.query()))
    }

    /// As a URL without any signature.
    #[must_use]
    pub fn unsigned(&self, endpoint: &str) -> String {
        let path = utf8_percent_encode(self.key, ENCODED_IN_PATH);
        with_query(&format!("{endpoint}/{}/{path}", self.bucket), &self.query())
    }

    fn query(&self) -> String {
        let pair = |(name, value): &(&str, &str)| {
            format!("{}={}", utf8_percent_encode(name, ENCODED), utf8_percent_encode(value, ENCODED))
        };
        self.parameters.iter().map(pair).collect::<Vec<_>>().join("&")
    }

    fn config(&self) -> Result<PresigningConfig> {
        let config = PresigningConfig::builder().start_time(self.signed_at()).expires_in(self.lifetime).build();
        config.context("how long a link works")
    }

    fn signed_at(&self) -> SystemTime {
        (Clock::system().now() - self.age).into()
    }
}

fn with_query(url: &str, query: &str) -> String {
    match (query, url.contains('?')) {
        ("", _) => url.to_owned(),
        (_, true) => format!("{url}&{query}"),
        (_, false) => format!("{url}?{query}"),
    }
}

/// `url` with another value for the parameter `name`, and its signature as it was.
#[must_use]
pub fn tampered(url: &str, name: &str, value: &str) -> String {
    let Some((front, query)) = url.split_once('?') else { return url.to_owned() };
    let pair = |pair: &str| match pair.split_once('=') {
        Some((own, _)) if own == name => format!("{own}={}", utf8_percent_encode(value, ENCODED)),
        _ => pair.to_owned(),
    };
    format!("{front}?{}", query.split('&').map(pair).collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by a panic")]
mod tests {
    use super::*;

    const ENDPOINT: &str = "http://127.0.0.1:9000";
    const PARAMETERS: &[(&str, &str)] = &[("userId", "u-1"), ("itemId", "a b&c")];

    #[tokio::test]
    async fn a_signature_covers_the_parameters() {
        let s3 = aws::s3(ENDPOINT);
        let url = Link::new("data", "a b/é+.tif", PARAMETERS).get(&s3).await.unwrap();
        assert!(url.starts_with("http://127.0.0.1:9000/data/a%20b/%C3%A9%2B.tif?"), "{url}");
        for part in
            ["userId=u-1", "itemId=a%20b%26c", "X-Amz-Expires=900", "X-Amz-SignedHeaders=host", "X-Amz-Signature="]
        {
            assert_eq!(url.matches(part).count(), 1, "{part} in {url}");
        }
        let signature = |url: &str| url.split_once("X-Amz-Signature=").unwrap().1.split('&').next().unwrap().to_owned();
        let link = |parameters| Link { age: Duration::from_secs(40), ..Link::new("data", "k", parameters) };
        let [with, without] = [link(PARAMETERS).get(&s3).await.unwrap(), link(&[]).get(&s3).await.unwrap()];
        assert_ne!(signature(&with), signature(&without));
    }

    #[test]
    fn a_tampered_link_differs_in_one_value() {
        let url = Link::new("data", "k", PARAMETERS).unsigned(ENDPOINT);
        assert_eq!(url, "http://127.0.0.1:9000/data/k?userId=u-1&itemId=a%20b%26c");
        assert_eq!(tampered(&url, "userId", "u 2"), url.replace("u-1", "u%202"));
    }

    #[test]
    fn version_2_signs_the_path_and_the_expiry_alone() {
        let url = |parameters| Link::new("data", "k", parameters).get_v2(ENDPOINT).unwrap();
        let [with, without] = [url(PARAMETERS), url(&[])];
        assert!(with.starts_with("http://127.0.0.1:9000/data/k?AWSAccessKeyId=testing&Expires="), "{with}");
        assert!(with.ends_with("&userId=u-1&itemId=a%20b%26c") && !without.contains("userId"), "{with} {without}");
    }
}
