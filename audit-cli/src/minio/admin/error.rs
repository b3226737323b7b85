//! What can be wrong with an admin call, in words that name what to mend.

use audit_core::client::Response;
use serde::Deserialize;

use super::sealed::SealError;

/// An admin call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// Nobody answered, or not to the end.
    #[error("MINIO_ENDPOINT: {0}")]
    NoAnswer(String),
    /// These keys are nobody's, or not an administrator's.
    #[error("{0}")]
    Keys(&'static str),
    /// MinIO does not take what was sent; in its own words.
    #[error("MinIO refuses: {0}")]
    Refused(String),
    /// It answered what no MinIO answers.
    #[error("MINIO_ENDPOINT: expected MinIO's S3 endpoint, found a server that answers {0} to its admin API")]
    NotMinio(u16),
    /// The request could not be made.
    #[error("the request to MinIO cannot be signed: {0}")]
    Unsigned(String),
    /// The configuration cannot be read or written.
    #[error("MinIO's configuration: {0}")]
    Sealed(#[from] SealError),
}

/// How MinIO tells what is wrong.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    code: String,
    #[serde(default)]
    message: String,
}

impl AdminError {
    pub(super) fn unsigned(error: impl std::fmt::Display) -> Self {
        Self::Unsigned(error.to_string())
    }

    pub(super) fn refused(answer: &Response) -> Self {
        let body = answer.body.as_deref().unwrap_or_default();
        let Ok(told) = serde_json::from_slice::<Told>(body) else { return Self::NotMinio(answer.status.as_u16()) };
        match told.code.as_str() {
            "InvalidAccessKeyId" => Self::Keys("MINIO_ROOT_USER: expected an access key that MinIO knows"),
            "SignatureDoesNotMatch" => Self::Keys("MINIO_ROOT_PASSWORD: expected the secret key of MINIO_ROOT_USER"),
            "AccessDenied" => Self::Keys(
                "MINIO_ROOT_USER: expected an administrator: its policy must allow admin:ConfigUpdate, admin:ServerInfo and \
                 admin:ServiceRestart",
            ),
            "RequestTimeTooSkewed" => {
                Self::Keys("MinIO refuses this machine's time: set both clocks right, they differ by over 15 minutes")
            }
            // Its messages quote the configuration where they quote anything, and that holds the token.
            code if told.message.contains("auth_token") => Self::Refused(code.to_owned()),
            code => Self::Refused(format!("{} ({code})", told.message.trim_end_matches('.'))),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn refused(status: u16, body: &'static str) -> String {
        let status = StatusCode::from_u16(status).unwrap();
        AdminError::refused(&Response { status, headers: HeaderMap::new(), body: Some(Bytes::from(body)) }).to_string()
    }

    #[test]
    fn each_refusal_names_what_to_mend() {
        let of = |code: &str| refused(403, format!(r#"{{"Code":"{code}","Message":"No."}}"#).leak());
        assert!(of("InvalidAccessKeyId").starts_with("MINIO_ROOT_USER: expected"));
        assert!(of("SignatureDoesNotMatch").starts_with("MINIO_ROOT_PASSWORD: expected"));
        assert!(of("AccessDenied").contains("admin:ConfigUpdate"));
        assert_eq!(of("Else"), "MinIO refuses: No (Else)");
        assert!(refused(404, "<html>").contains("found a server that answers 404"));
    }

    #[test]
    fn a_message_with_the_token_in_it_is_not_passed_on() {
        let told = refused(400, r#"{"Code":"Bad","Message":"cannot set auth_token=hunter2"}"#);
        assert!(!told.contains("hunter2") && told.contains("Bad"), "{told}");
    }
}
