//! What a refusal of an AWS service means, and what to mend: one line, in our words, since the service's own name accounts and
//! roles.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::causes::{cause, last_cause};
use crate::client::{SetUpError, trust};

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// Of whom, such as `S3`.
    pub(crate) service: &'static str,
    /// The permission that it takes, where the answer does not name it.
    pub(crate) permission: &'static str,
    /// What it was about, such as `the table of LEDGER_URL`.
    pub(crate) of: &'a str,
    /// What to say when that is not there.
    pub(crate) missing: &'a str,
    /// The variable that sets another region for it, where there is one.
    pub(crate) region_variable: Option<&'static str>,
}

/// A log file, which is read wherever it lies.
pub(crate) const LOG_FILE: Asked<'_> = Asked {
    service: "S3",
    permission: "s3:GetObject",
    of: "this object",
    missing: "no such object",
    region_variable: Some("CLOUDTRAIL_REGION"),
};

/// Why the call failed, with the remedy where one is known.
pub(crate) fn advice<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>, asked: &Asked<'_>) -> String {
    let service = asked.service;
    match error {
        SdkError::ServiceError(refused) => {
            let answer = Answer {
                code: refused.err().code().unwrap_or_default(),
                message: refused.err().message().unwrap_or_default(),
                status: refused.raw().status().as_u16(),
                region: refused.raw().headers().get("x-amz-bucket-region"),
            };
            answer.advice(asked)
        }
        SdkError::TimeoutError(_) => format!("{service} did not answer in time"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => format!("{service} did not answer in time"),
        // What never left has no kind: our connector gives one to all that failed on the way.
        SdkError::DispatchFailure(failure)
            if failure.is_user() || failure.is_other() && failure.as_other().is_none() =>
        {
            match failure.as_connector_error().and_then(|error| cause::<SetUpError>(error)) {
                Some(error) => error.to_string(),
                None => format!("the request to {service} could not be made: are there AWS credentials and a region?"),
            }
        }
        SdkError::DispatchFailure(failure) => {
            let cause = failure.as_connector_error().map(|error| last_cause(error).to_string()).unwrap_or_default();
            match trust::remedy(&cause) {
                Some(remedy) => format!("{service} has a certificate that is not trusted ({cause}): {remedy}"),
                None => {
                    format!("{service} cannot be reached: is the region right, and is there a way to it? ({cause})")
                }
            }
        }
        SdkError::ConstructionFailure(_) => format!("the request to {service} could not be built"),
        SdkError::ResponseError(_) | _ => format!("{service}'s answer cannot be read"),
    }
}

/// What a service answered.
#[derive(Debug, Clone, Copy)]
struct Answer<'a> {
    code: &'a str,
    message: &'a str,
    status: u16,
    region: Option<&'a str>,
}

impl Answer<'_> {
    fn advice(&self, asked: &Asked<'_>) -> String {
        let Asked { service, of, missing, .. } = asked;
        match self.code {
            "AccessDenied" | "AccessDeniedException" | "AuthorizationError" | "Forbidden" => self.denied(asked),
            "NoSuchKey" => "no such object (was it deleted since, or is the key encoded?)".to_owned(),
            "NoSuchBucket" => "no such bucket".to_owned(),
            "InvalidObjectState" => "archived (S3 Glacier): restore it before it is read".to_owned(),
            "ResourceNotFoundException" | "QueueDoesNotExist" => (*missing).to_owned(),
            code if code.ends_with("NonExistentQueue") => (*missing).to_owned(),
            "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
                self.elsewhere(asked)
            }
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "InvalidToken"
            | "ExpiredToken"
            | "ExpiredTokenException" => {
                format!("{service} does not accept the credentials ({})", self.code)
            }
            code if is_denied_by_kms(code) => self.denied(asked),
            code if code.to_ascii_lowercase().starts_with("kms") => {
                format!("the key that encrypts {of} cannot be used: it is disabled, deleted or elsewhere ({code})")
            }
            "" if self.status == 301 => self.elsewhere(asked),
            "" if self.status == 403 => self.denied(asked),
            "" => format!("{service} answered with status {}", self.status),
            code => format!("{service} answered {code}"),
        }
    }

    fn denied(&self, asked: &Asked<'_>) -> String {
        let named = permission_in(self.message);
        let by_key = named.map_or_else(
            || {
                is_denied_by_kms(self.code)
                    || ["KMS", "customer master key"].iter().any(|own| self.message.contains(own))
            },
            |permission| permission.starts_with("kms:"),
        );
        let permission = named.unwrap_or(if by_key { "kms:Decrypt" } else { asked.permission });
        let of = asked.of;
        let mut text = if by_key {
            format!("access denied: the role needs {permission} on the key that encrypts {of}")
        } else {
            format!("access denied: the role needs {permission} on {of}")
        };
        if permission == "s3:GetObject" {
            text += " (and s3:ListBucket on its bucket, to be told of missing ones)";
        }
        if named.is_none() && !by_key {
            text += ", and kms:Decrypt or kms:GenerateDataKey where that is encrypted with a key of yours";
        }
        if self.message.contains("explicit deny") {
            text += "; a policy denies it explicitly";
        }
        text
    }

    fn elsewhere(&self, asked: &Asked<'_>) -> String {
        let expecting = self.message.split_once("expecting '").and_then(|(_, rest)| rest.split_once('\''));
        let region = self.region.or(expecting.map(|(region, _)| region));
        match (asked.region_variable, region.filter(|region| is_region(region))) {
            (Some(variable), Some(region)) => format!("the bucket is in {region}: set {variable}={region}"),
            (Some(variable), None) => format!("the bucket is in another region: set {variable} to it"),
            (None, Some(region)) => format!("the bucket is in {region}; expected one in the function's own region"),
            (None, None) => "the bucket is in another region; expected one in the function's own region".to_owned(),
        }
    }
}

fn is_denied_by_kms(code: &str) -> bool {
    matches!(code, "KMS.AccessDeniedException" | "KmsAccessDenied" | "KMSAccessDeniedException" | "DecryptionFailure")
}

/// The permission in `User: … is not authorized to perform: s3:GetObject on resource: …`.
fn permission_in(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("to perform: ")?;
    let permission = rest.split_whitespace().next()?;
    let (service, action) = permission.split_once(':')?;
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (plain(service) && plain(action)).then_some(permission)
}

fn is_region(text: &str) -> bool {
    (4..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: Asked<'_> = Asked {
        service: "S3",
        permission: "s3:GetObject",
        of: "this object",
        missing: "",
        region_variable: Some("CLOUDTRAIL_REGION"),
    };
    const TABLE: Asked<'_> = Asked {
        service: "DynamoDB",
        permission: "dynamodb:PutItem",
        of: "the table",
        missing: "no such table",
        region_variable: None,
    };

    fn told(code: &str, message: &str, asked: &Asked<'_>) -> String {
        Answer { code, message, status: 400, region: None }.advice(asked)
    }

    #[test]
    fn each_refusal_has_its_remedy_and_names_nobody() {
        let user = "User: arn:aws:sts::111122223333:assumed-role/r/s is not authorized to perform:";
        let rows = [
            ("AccessDenied", format!("{user} s3:GetObject on resource: \"arn\" because no …"), OBJECT),
            ("AccessDenied", format!("{user} kms:Decrypt on resource: arn because no …"), OBJECT),
            ("AccessDenied", format!("{user} s3:GetObject on resource: arn with an explicit deny in a …"), OBJECT),
            ("AccessDenied", "Access Denied".to_owned(), OBJECT),
            (
                "AccessDenied",
                "The ciphertext refers to a customer master key that does not exist, …".to_owned(),
                OBJECT,
            ),
            ("AccessDeniedException", format!("{user} dynamodb:UpdateItem on resource: arn because …"), TABLE),
            ("AccessDeniedException", "KMS key access denied error".to_owned(), TABLE),
            ("ResourceNotFoundException", "Requested resource not found".to_owned(), TABLE),
            ("AuthorizationHeaderMalformed", "the region 'a' is wrong; expecting 'eu-west-1'".to_owned(), OBJECT),
            ("PermanentRedirect", "must be addressed using the specified endpoint".to_owned(), TABLE),
            ("KMS.DisabledException", "arn:aws:kms:… is disabled.".to_owned(), OBJECT),
            ("ExpiredToken", "The provided token has expired.".to_owned(), OBJECT),
            ("SlowDown", "Please reduce your request rate.".to_owned(), OBJECT),
        ];
        let told: Vec<String> = rows.iter().map(|(code, message, asked)| told(code, message, asked)).collect();
        insta::assert_snapshot!(told.join("\n"));
        assert!(!told.join("\n").contains("1111"), "{told:#?}");
    }

    #[test]
    fn a_permission_is_taken_only_where_it_is_one() {
        assert_eq!(permission_in("not authorized to perform: kms:Decrypt on"), Some("kms:Decrypt"));
        for none in ["", "to perform: ", "to perform: everything on", "to perform: a\u{e9}:b on", "to perform: :b"] {
            assert_eq!(permission_in(none), None, "{none}");
        }
    }
}
