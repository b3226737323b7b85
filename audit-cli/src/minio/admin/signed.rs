//! Signatures of admin requests: Signature Version 4, as for S3.

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use reqwest::Url;
use secrecy::ExposeSecret;

use super::{AdminError, Keys};

/// The headers that make a request `keys`' own. MinIO takes any region for its admin API.
pub(super) fn headers(
    keys: &Keys,
    now: Timestamp,
    method: &Method,
    url: &Url,
    body: &[u8],
) -> Result<HeaderMap, AdminError> {
    let identity = Credentials::new(&keys.access, keys.secret.expose_secret(), None, None, "settings").into();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("s3")
        .time(now.into())
        .settings(settings)
        .build()
        .map_err(AdminError::unsigned)?;
    let request = SignableRequest::new(method.as_str(), url.as_str(), std::iter::empty(), SignableBody::Bytes(body))
        .map_err(AdminError::unsigned)?;
    let (instructions, _) = sign(request, &params.into()).map_err(AdminError::unsigned)?.into_parts();
    let mut headers = HeaderMap::new();
    for (name, value) in instructions.headers() {
        let mut value = HeaderValue::from_str(value).map_err(AdminError::unsigned)?;
        value.set_sensitive(true);
        headers.insert(HeaderName::try_from(name).map_err(AdminError::unsigned)?, value);
    }
    Ok(headers)
}
