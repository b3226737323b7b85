//! Configuration: every variable, read once and checked in full at start.
//!
//! A bad value is told by the variable's name and what is expected, never by the value: it may be a secret.

mod analytics;
mod minio;
mod read;
mod values;
mod variables;

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;
use uuid::Uuid;

pub use analytics::{AddressHeader, AnalyticsConfig, Otherwise, UserAgentPolicy, read_analytics};
pub use minio::{MinioConfig, read_minio, receiver_url};
pub use read::{Environment, Strings};
use read::{Reader, SecretVariables};
pub use variables::{VARIABLES, Variable};

use crate::aws::{AwsCredentials, AwsSettings, Http};
use crate::client::Trust;
use crate::delivery::Ambiguous;
use crate::event::IdParams;
use crate::ledger::{LedgerUrl, Terms};
use crate::policy::MeteringPolicy;
use crate::store::Place;

/// All that is wrong with the configuration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("configuration: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ConfigError(pub Vec<Problem>);

/// One variable that is missing or wrong.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{variable}: expected {expected}")]
pub struct Problem {
    /// The variable.
    pub variable: &'static str,
    /// What would be right.
    pub expected: String,
}

/// Which program asks: defaults and required variables differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `lambda-cloudtrail`, always under Lambda.
    CloudTrail,
    /// `lambda-minio-http` under Lambda.
    ReceiverOnLambda,
    /// `lambda-minio-http` as a server of its own.
    Receiver,
    /// `s3audit`.
    Cli,
}

impl Program {
    fn on_lambda(self) -> bool {
        matches!(self, Self::CloudTrail | Self::ReceiverOnLambda)
    }

    fn is_receiver(self) -> bool {
        matches!(self, Self::ReceiverOnLambda | Self::Receiver)
    }
}

/// A secret, or where AWS Secrets Manager keeps it.
#[derive(Debug, Clone)]
pub enum Secret {
    /// The value itself.
    Value(SecretString),
    /// The ARN of the secret.
    Arn(String),
}

/// How to get a token, and how to post records (`PROCESS_API_URL` and the `AUTH_…` variables).
#[derive(Debug, Clone)]
pub struct ProcessConfig {
    /// The process's execution endpoint.
    pub url: Url,
    /// The auth server's token endpoint.
    pub auth_url: Url,
    /// `clientId` of the token request.
    pub client_id: String,
    /// `clientSecret` of the token request.
    pub client_secret: Secret,
    /// `itemId` of the token request.
    pub item_id: String,
    /// `itemType` of the token request.
    pub item_type: String,
    /// `role` of the token request.
    pub role: String,
    /// `role` of the second token, which may read jobs.
    pub job_role: Option<String>,
    /// Records in one POST.
    pub batch_max_records: NonZeroUsize,
    /// What to do when a POST's outcome is unknown.
    pub ambiguous: Ambiguous,
}

/// Where the receiver listens and keeps entries.
#[derive(Debug, Clone)]
pub struct ReceiverConfig {
    /// Address to listen on.
    pub bind_address: IpAddr,
    /// Port to listen on.
    pub port: u16,
    /// The token that MinIO sends; `None` only with `ALLOW_UNAUTHENTICATED=true`.
    pub webhook_token: Option<Secret>,
    /// Directory of the durable spool.
    pub spool: PathBuf,
    /// SQS queue that makes entries durable, under Lambda.
    pub queue_url: Option<String>,
    /// Largest body of one POST, in bytes.
    pub max_body_bytes: usize,
}

/// The whole configuration of one program.
#[derive(Debug, Clone)]
pub struct Config {
    /// What is metered.
    pub metering: MeteringPolicy,
    /// Where records are posted; `None`: no metering sink.
    pub process: Option<ProcessConfig>,
    /// What is shown on the dashboard; `None`: no analytics sink.
    pub analytics: Option<AnalyticsConfig>,
    /// `LEDGER_URL`.
    pub ledger: LedgerUrl,
    /// Lease and memory of the ledger.
    pub terms: Terms,
    /// `QUARANTINE`.
    pub quarantine: Place,
    /// `HELD`.
    pub held: Place,
    /// The receiver's own.
    pub receiver: ReceiverConfig,
    /// `CLOUDTRAIL_BUCKET`: events naming another bucket are refused.
    pub cloudtrail_bucket: Option<String>,
    /// Cap on one log file's uncompressed size, in bytes.
    pub max_decompressed_bytes: u64,
    /// AWS.
    pub aws: AwsSettings,
    /// Whom connections to the other upstreams trust.
    pub trust: Trust,
    /// Name of the Lambda function, which metrics are told by; `None` outside Lambda and where people read the log
    /// (`LOG_FORMAT=text`).
    pub metrics_of: Option<String>,
    /// `DATABASE_URL` of PostgreSQL, which may hold a password.
    pub database_url: Option<SecretString>,
}

const CLIENT_SECRET: SecretVariables =
    SecretVariables { value: "CLIENT_SECRET", file: "CLIENT_SECRET_FILE", arn: "CLIENT_SECRET_ARN" };
const WEBHOOK_AUTH_TOKEN: SecretVariables =
    SecretVariables { value: "WEBHOOK_AUTH_TOKEN", file: "WEBHOOK_AUTH_TOKEN_FILE", arn: "WEBHOOK_AUTH_TOKEN_ARN" };

const DAY: Duration = Duration::from_hours(24);

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem found.
    pub fn read(strings: &impl Strings, program: Program) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(strings);
        let config = Self {
            metering: metering(&mut reader),
            process: process(&mut reader),
            analytics: analytics::analytics(&mut reader),
            ledger: ledger(&mut reader, program),
            terms: Terms {
                lease: reader.parsed("LEASE_SECONDS", values::seconds).unwrap_or(Duration::from_mins(15)),
                ttl: reader.parsed("LEDGER_TTL", values::duration).unwrap_or(90 * DAY),
            },
            quarantine: store(&mut reader, program, "QUARANTINE", "quarantine"),
            held: store(&mut reader, program, "HELD", "held"),
            receiver: receiver(&mut reader, program),
            cloudtrail_bucket: reader.text("CLOUDTRAIL_BUCKET"),
            max_decompressed_bytes: reader.parsed("MAX_DECOMPRESSED_BYTES", values::size).unwrap_or(4 << 30),
            aws: aws(&reader, program),
            trust: trust(&reader, program),
            metrics_of: metrics_of(&reader, program),
            database_url: reader.text("DATABASE_URL").map(Into::into),
        };
        reader.finish(config)
    }
}

/// Reads only what decides which records are metered (`s3audit parse` needs no more).
///
/// # Errors
/// [`ConfigError`] with every problem found.
pub fn read_metering(strings: &impl Strings) -> Result<(MeteringPolicy, u64), ConfigError> {
    let mut reader = Reader::new(strings);
    let policy = metering(&mut reader);
    let cap = reader.parsed("MAX_DECOMPRESSED_BYTES", values::size).unwrap_or(4 << 30);
    reader.finish((policy, cap))
}

fn metering(reader: &mut Reader<'_, impl Strings>) -> MeteringPolicy {
    let default = IdParams::default();
    let mut name = |variable, default| reader.parsed(variable, values::parameter).unwrap_or(default);
    MeteringPolicy {
        params: IdParams {
            user: name("USER_ID_PARAM", default.user),
            collection: name("COLLECTION_ID_PARAM", default.collection),
            item: name("ITEM_ID_PARAM", default.item),
            asset: name("ASSET_ID_PARAM", default.asset),
        },
        anonymous_user: reader.parsed::<Uuid>("ANONYMOUS_USER_ID", values::uuid),
    }
}

fn process(reader: &mut Reader<'_, impl Strings>) -> Option<ProcessConfig> {
    let url = reader.parsed("PROCESS_API_URL", values::http_url)?;
    let why = "a value, because PROCESS_API_URL is set";
    Some(ProcessConfig {
        auth_url: reader.parsed_or_required("AUTH_URL", values::http_url, why).unwrap_or_else(|| url.clone()),
        client_id: reader.required("CLIENT_ID", why),
        client_secret: reader.secret(CLIENT_SECRET, why),
        item_id: reader.required("AUTH_ITEM_ID", why),
        item_type: reader.required("AUTH_ITEM_TYPE", why),
        role: reader.required("AUTH_ROLE", why),
        job_role: reader.text("JOB_AUTH_ROLE"),
        batch_max_records: reader.parsed("BATCH_MAX_RECORDS", values::count).unwrap_or(values::THOUSAND),
        ambiguous: reader.parsed("AMBIGUOUS", values::ambiguous).unwrap_or_default(),
        url,
    })
}

fn ledger(reader: &mut Reader<'_, impl Strings>, program: Program) -> LedgerUrl {
    let expected = "redis://HOST, rediss://HOST, dynamodb://TABLE or memory: (spool: only outside Lambda)";
    let known = reader.text("LEDGER_URL").map(|text| text.parse::<LedgerUrl>());
    // Without anything to deliver there is nothing to remember.
    let sinks = ["PROCESS_API_URL", "PLAUSIBLE_API_URL"];
    let needed = program.on_lambda() && sinks.iter().any(|sink| reader.text(sink).is_some());
    match known {
        Some(Ok(LedgerUrl::Spool)) if program.on_lambda() => reader.problem("LEDGER_URL", expected),
        Some(Ok(url)) => return url,
        Some(Err(error)) => reader.problem("LEDGER_URL", error.to_string().trim_start_matches("expected ")),
        None if needed => reader.problem("LEDGER_URL", expected),
        None => {}
    }
    LedgerUrl::Spool
}

fn store(reader: &mut Reader<'_, impl Strings>, program: Program, variable: &'static str, default: &str) -> Place {
    if program.on_lambda() && reader.text(variable).is_none() {
        reader.problem(variable, "s3://BUCKET/PREFIX (a directory does not outlive a Lambda function)");
    }
    let parse = |text: &str| text.parse().map_err(|_| "a directory or s3://BUCKET/PREFIX");
    reader.parsed(variable, parse).unwrap_or_else(|| Place::Directory(default.into()))
}

fn receiver(reader: &mut Reader<'_, impl Strings>, program: Program) -> ReceiverConfig {
    let allow = reader.parsed("ALLOW_UNAUTHENTICATED", values::flag).unwrap_or(false);
    let webhook_token = if program.is_receiver() && !allow {
        Some(reader.secret(WEBHOOK_AUTH_TOKEN, "a token, or ALLOW_UNAUTHENTICATED=true"))
    } else {
        reader.optional_secret(WEBHOOK_AUTH_TOKEN)
    };
    let default_body_bytes = if program.on_lambda() { 6 << 20 } else { 64 << 20 };
    ReceiverConfig {
        bind_address: reader.parsed("BIND_ADDRESS", values::address).unwrap_or(IpAddr::from([0, 0, 0, 0])),
        port: reader.parsed("PORT", values::port).unwrap_or(8092),
        webhook_token,
        spool: reader.text("SPOOL").unwrap_or_else(|| "spool".into()).into(),
        queue_url: reader.parsed("QUEUE_URL", values::http_url).map(Into::into),
        max_body_bytes: reader.parsed("MAX_BODY_BYTES", values::memory_size).unwrap_or(default_body_bytes),
    }
}

fn metrics_of(reader: &Reader<'_, impl Strings>, program: Program) -> Option<String> {
    let read_by_people = reader.text("LOG_FORMAT").as_deref() == Some("text");
    reader.text("AWS_LAMBDA_FUNCTION_NAME").filter(|_| program.on_lambda() && !read_by_people)
}

/// On Lambda no file is read for it unless one is named: there is no authority of one's own in the image, and each start counts.
fn trust(reader: &Reader<'_, impl Strings>, program: Program) -> Trust {
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|variable| reader.text(variable).is_some());
    match (named, program.on_lambda()) {
        (true, _) => Trust::Named,
        (false, true) => Trust::Web,
        (false, false) => Trust::Machine,
    }
}

fn aws(reader: &Reader<'_, impl Strings>, program: Program) -> AwsSettings {
    let key = reader.text("AWS_ACCESS_KEY_ID").zip(reader.text("AWS_SECRET_ACCESS_KEY"));
    AwsSettings {
        // S3-compatible stores take any region.
        region: reader
            .text("AWS_REGION")
            .or_else(|| reader.text("AWS_DEFAULT_REGION"))
            .unwrap_or_else(|| "us-east-1".into()),
        region_s3: reader.text("CLOUDTRAIL_REGION"),
        endpoint: reader.text("AWS_ENDPOINT_URL"),
        endpoint_s3: reader.text("AWS_ENDPOINT_URL_S3"),
        endpoint_sqs: reader.text("AWS_ENDPOINT_URL_SQS"),
        endpoint_dynamodb: reader.text("AWS_ENDPOINT_URL_DYNAMODB"),
        endpoint_secrets_manager: reader.text("AWS_ENDPOINT_URL_SECRETS_MANAGER"),
        credentials: key.map(|(access_key_id, secret_access_key)| AwsCredentials {
            access_key_id,
            secret_access_key: secret_access_key.into(),
            session_token: reader.text("AWS_SESSION_TOKEN").map(Into::into),
        }),
        http: Http::trusting(trust(reader, program)),
    }
}

#[cfg(test)]
mod tests;
