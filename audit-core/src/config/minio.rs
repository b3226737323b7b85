//! What sets MinIO up: where it is, who may administer it, and where its entries are to go.

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::read::{Reader, Strings, secret_in};
use super::{ConfigError, Program, Secret, WEBHOOK_AUTH_TOKEN, aws, values};
use crate::aws::AwsSettings;

/// The path that the receiver takes entries at.
const ENTRIES: &str = "/auditlogs/processor";

/// MinIO, its administrator, and the receiver.
#[derive(Debug, Clone)]
pub struct MinioConfig {
    /// `MINIO_ENDPOINT`: MinIO's S3 endpoint.
    pub endpoint: Url,
    /// `MINIO_ROOT_USER`: access key of an administrator.
    pub access_key: String,
    /// `MINIO_ROOT_PASSWORD`: its secret key.
    pub secret_key: SecretString,
    /// `RECEIVER_URL`: where the receiver takes entries, as MinIO reaches it.
    pub receiver: Url,
    /// The token that MinIO is to send; `None` where the receiver takes entries from anybody.
    pub webhook_token: Option<Secret>,
    /// For a token that AWS Secrets Manager keeps.
    pub aws: AwsSettings,
}

/// Reads only what MinIO's set-up needs.
///
/// # Errors
/// [`ConfigError`] with every problem found.
pub fn read_minio(strings: &impl Strings) -> Result<MinioConfig, ConfigError> {
    let mut reader = Reader::new(strings);
    let endpoint = reader.parsed_or_required("MINIO_ENDPOINT", origin, ORIGIN);
    let access_key =
        text_or_file(&mut reader, "MINIO_ROOT_USER", "MINIO_ROOT_USER_FILE", "an administrator's access key");
    let secret_key =
        text_or_file(&mut reader, "MINIO_ROOT_PASSWORD", "MINIO_ROOT_PASSWORD_FILE", "the administrator's secret key");
    let receiver = reader.parsed_or_required("RECEIVER_URL", receiver_url, RECEIVER);
    let webhook_token = if reader.parsed("ALLOW_UNAUTHENTICATED", values::flag).unwrap_or(false) {
        reader.optional_secret(WEBHOOK_AUTH_TOKEN)
    } else {
        Some(reader.secret(WEBHOOK_AUTH_TOKEN, "the receiver's token, or ALLOW_UNAUTHENTICATED=true"))
    };
    let aws = aws(&reader, Program::Cli);
    let Some((endpoint, receiver)) = endpoint.zip(receiver) else { return Err(reader.failed()) };
    let access_key = access_key.expose_secret().to_owned();
    reader.finish(MinioConfig { endpoint, access_key, secret_key, receiver, webhook_token, aws })
}

const ORIGIN: &str = "MinIO's S3 endpoint such as http://minio:9000, without user, path and query";
const RECEIVER: &str = "the receiver as MinIO reaches it, such as http://receiver:8092, without user and query";

/// A receiver's URL as `RECEIVER_URL` is read: an address without a path means the path that entries are taken at; another one is a
/// proxy's.
///
/// # Errors
/// What is expected instead.
pub fn receiver_url(text: &str) -> Result<Url, &'static str> {
    let mut url = values::http_url(text).ok().filter(is_plain).ok_or(RECEIVER)?;
    if url.path() == "/" {
        url.set_path(ENTRIES);
    }
    Ok(url)
}

fn origin(text: &str) -> Result<Url, &'static str> {
    values::http_url(text).ok().filter(|url| is_plain(url) && url.path() == "/").ok_or(ORIGIN)
}

fn is_plain(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none()
}

/// MinIO itself reads these two pairs of variables in the same way.
fn text_or_file(
    reader: &mut Reader<'_, impl Strings>,
    variable: &'static str,
    file: &'static str,
    expected: &str,
) -> SecretString {
    match (reader.text(variable), reader.text(file)) {
        (Some(text), _) => SecretString::from(text),
        (None, Some(path)) => secret_in(&path).unwrap_or_else(|why| {
            reader.problem(file, &format!("the path of a file that holds {expected} ({why})"));
            SecretString::default()
        }),
        (None, None) => {
            reader.problem(variable, &format!("{expected} (or {file})"));
            SecretString::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const ALL: [(&str, &str); 5] = [
        ("MINIO_ENDPOINT", "http://minio:9000"),
        ("MINIO_ROOT_USER", "admin"),
        ("MINIO_ROOT_PASSWORD", "hunter2"),
        ("RECEIVER_URL", "http://receiver:8092"),
        ("WEBHOOK_AUTH_TOKEN", "hunter3"),
    ];

    fn read(change: &[(&str, &str)]) -> Result<MinioConfig, Vec<&'static str>> {
        let strings: HashMap<&str, &str> = ALL.iter().chain(change).copied().collect();
        read_minio(&strings).map_err(|error| {
            assert!(!error.to_string().contains("hunter"), "{error}");
            error.0.iter().map(|problem| problem.variable).collect()
        })
    }

    #[test]
    fn entries_go_to_the_receiver_s_own_path_unless_another_is_given() {
        assert_eq!(read(&[]).unwrap().receiver.as_str(), "http://receiver:8092/auditlogs/processor");
        let behind_a_proxy = [("RECEIVER_URL", "https://proxy.example/audit/in")];
        assert_eq!(read(&behind_a_proxy).unwrap().receiver.as_str(), "https://proxy.example/audit/in");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (variable, _) in ALL {
            assert_eq!(read(&[(variable, "")]).unwrap_err(), [variable]);
        }
        for (variable, value) in [
            ("MINIO_ENDPOINT", "minio:9000"),
            ("MINIO_ENDPOINT", "http://minio:9000/bucket"),
            ("MINIO_ENDPOINT", "http://me:hunter2@minio:9000"),
            ("RECEIVER_URL", "receiver"),
            ("RECEIVER_URL", "http://receiver:8092/?token=hunter3"),
        ] {
            assert_eq!(read(&[(variable, value)]).unwrap_err(), [variable], "{value}");
        }
    }

    #[test]
    fn a_receiver_that_takes_entries_from_anybody_needs_no_token() {
        let open = read(&[("WEBHOOK_AUTH_TOKEN", ""), ("ALLOW_UNAUTHENTICATED", "true")]).unwrap();
        assert!(open.webhook_token.is_none());
    }

    #[test]
    fn the_administrator_s_keys_may_be_in_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter4\n").unwrap();
        let path = file.path().to_str().unwrap();
        let config = read(&[("MINIO_ROOT_PASSWORD", ""), ("MINIO_ROOT_PASSWORD_FILE", path)]).unwrap();
        assert_eq!(config.secret_key.expose_secret(), "hunter4");
        let missing = [("MINIO_ROOT_USER", ""), ("MINIO_ROOT_USER_FILE", "/nowhere")];
        assert_eq!(read(&missing).unwrap_err(), ["MINIO_ROOT_USER_FILE"]);
    }
}
