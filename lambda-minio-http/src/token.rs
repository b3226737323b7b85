//! The webhook token: compared in constant time, whatever its length.

use audit_core::config::Config;
use audit_core::pipeline::{StartError, secret};
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Who may post entries.
#[derive(Debug)]
pub(crate) enum Door {
    /// Anybody (`ALLOW_UNAUTHENTICATED=true`).
    Open,
    /// Whoever sends this token in `Authorization`, raw or after `Bearer `.
    Token(SecretString),
}

impl Door {
    /// The door that `config` describes; a secret that is only named is fetched.
    ///
    /// # Errors
    /// When the secret cannot be had.
    pub(crate) async fn open(config: &Config) -> Result<Self, StartError> {
        match &config.receiver.webhook_token {
            Some(token) => Ok(Self::Token(secret(token, &config.aws, "WEBHOOK_AUTH_TOKEN_ARN").await?)),
            None => Ok(Self::Open),
        }
    }

    /// Checks a request's headers.
    ///
    /// # Errors
    /// 401 where the token is missing, 403 where it is wrong.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        let Self::Token(expected) = self else { return Ok(()) };
        let given = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
        if given.trim_ascii().is_empty() {
            return Err(StatusCode::UNAUTHORIZED);
        }
        // Digests are of one length, so that the comparison tells nothing about the token's; both forms are always compared.
        let expected = Sha256::digest(expected.expose_secret());
        let raw = expected.ct_eq(&Sha256::digest(given));
        let bearer = expected.ct_eq(&Sha256::digest(given.strip_prefix(b"Bearer ").unwrap_or_default()));
        if bool::from(raw | bearer) { Ok(()) } else { Err(StatusCode::FORBIDDEN) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(authorization: Option<&str>) -> Result<(), u16> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        Door::Token("t0ken".into()).admit(&headers).map_err(|status| status.as_u16())
    }

    #[test]
    fn the_token_opens_raw_and_as_bearer() {
        assert_eq!(admit(Some("t0ken")), Ok(()));
        assert_eq!(admit(Some("Bearer t0ken")), Ok(()));
    }

    #[test]
    fn a_missing_token_is_told_from_a_wrong_one() {
        for missing in [None, Some(""), Some("  ")] {
            assert_eq!(admit(missing), Err(401), "{missing:?}");
        }
        for wrong in ["t0ke", "t0ken2", "bearer t0ken", "Bearer  t0ken", "Bearer", "Bearer ", "Basic t0ken"] {
            assert_eq!(admit(Some(wrong)), Err(403), "{wrong}");
        }
    }

    #[test]
    fn a_token_configured_with_its_scheme_is_taken_verbatim() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, "Bearer t0ken".parse().unwrap());
        assert_eq!(Door::Token("Bearer t0ken".into()).admit(&headers), Ok(()));
    }
}
