//! Clients of AWS services, made from plain settings: nothing is read from the environment, from files or from the
//! network until the first call.
//!
//! All clients of a process share one HTTP client: its connections, and whom it trusts.

mod advice;
mod http;

pub(crate) use advice::{Asked, LOG_FILE, advice};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_types::retry::RetryConfig;
pub use http::Http;
use secrecy::{ExposeSecret, SecretString};

/// Where the services are and who asks: `AWS_REGION`, `AWS_ENDPOINT_URL` and its siblings, `AWS_ACCESS_KEY_ID` and its.
#[derive(Debug, Clone, Default)]
pub struct AwsSettings {
    /// Region of all services.
    pub region: String,
    /// Region of S3 where it is another (`CLOUDTRAIL_REGION`).
    pub region_s3: Option<String>,
    /// Endpoint of every service that has none of its own below; `None` is AWS.
    pub endpoint: Option<String>,
    /// Endpoint of S3; where one is given, buckets are named in the path.
    pub endpoint_s3: Option<String>,
    /// Endpoint of SQS.
    pub endpoint_sqs: Option<String>,
    /// Endpoint of DynamoDB.
    pub endpoint_dynamodb: Option<String>,
    /// Endpoint of Secrets Manager.
    pub endpoint_secrets_manager: Option<String>,
    /// Who asks. Without, S3 is asked anonymously and every other service's calls fail.
    pub credentials: Option<AwsCredentials>,
    /// What all clients, also those of clones, send through.
    pub http: Http,
}

/// An access key. On Lambda it is good for as long as the process lives.
#[derive(Debug, Clone)]
pub struct AwsCredentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: SecretString,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Option<SecretString>,
}

const ATTEMPTS: u32 = 4;

/// Every service's builder has the same methods, but no trait says so.
macro_rules! client {
    ($sdk:ident, $settings:expr, $endpoint:expr, $region:expr $(, $method:ident = $value:expr)*) => {{
        let mut config = $sdk::Config::builder()
            .behavior_version($sdk::config::BehaviorVersion::latest())
            .region($sdk::config::Region::new($region.clone()))
            .http_client($settings.http.client())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS));
        $(config = config.$method($value);)*
        if let Some(endpoint) = $endpoint {
            config = config.endpoint_url(endpoint);
        }
        if let Some(credentials) = &$settings.credentials {
            config = config.credentials_provider(credentials.provider());
        }
        $sdk::Client::from_conf(config.build())
    }};
}

impl AwsSettings {
    /// The same, for buckets in the region of everything else: `CLOUDTRAIL_REGION` is the log bucket's alone.
    #[must_use]
    pub fn in_own_region(&self) -> Self {
        Self { region_s3: None, ..self.clone() }
    }

    /// A client of S3.
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let endpoint = self.endpoint_s3.as_ref().or(self.endpoint.as_ref());
        let region = self.region_s3.as_ref().unwrap_or(&self.region);
        client!(aws_sdk_s3, self, endpoint, region, force_path_style = endpoint.is_some())
    }

    /// A client of SQS.
    #[must_use]
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        client!(aws_sdk_sqs, self, self.endpoint_sqs.as_ref().or(self.endpoint.as_ref()), self.region)
    }

    /// A client of DynamoDB.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        client!(aws_sdk_dynamodb, self, self.endpoint_dynamodb.as_ref().or(self.endpoint.as_ref()), self.region)
    }

    /// A client of Secrets Manager.
    #[must_use]
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        let endpoint = self.endpoint_secrets_manager.as_ref().or(self.endpoint.as_ref());
        client!(aws_sdk_secretsmanager, self, endpoint, self.region)
    }
}

impl AwsCredentials {
    fn provider(&self) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Credentials::new(
            self.access_key_id.clone(),
            self.secret_access_key.expose_secret(),
            self.session_token.as_ref().map(|token| token.expose_secret().to_owned()),
            None,
            "settings",
        ))
    }
}

#[cfg(test)]
impl AwsSettings {
    /// For tests: every service is the one server at `endpoint`.
    pub(crate) fn of_server(endpoint: String) -> Self {
        Self {
            region: "eu-west-1".into(),
            endpoint: Some(endpoint),
            credentials: Some(AwsCredentials {
                access_key_id: "AKIA".into(),
                secret_access_key: "s3cret".into(),
                session_token: None,
            }),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_printed() {
        let credentials = AwsCredentials {
            access_key_id: "AKIA".into(),
            secret_access_key: "s3cret".into(),
            session_token: Some("s3cret".into()),
        };
        let settings = AwsSettings { credentials: Some(credentials), ..AwsSettings::default() };
        assert!(!format!("{settings:?}").contains("s3cret"));
    }

    #[tokio::test]
    async fn s3_behind_an_own_endpoint_has_the_bucket_in_its_path() {
        let server = wiremock::MockServer::start().await;
        wiremock::Mock::given(wiremock::matchers::path("/bucket/a%20key"))
            .and(wiremock::matchers::header_exists("authorization"))
            .respond_with(wiremock::ResponseTemplate::new(200).set_body_string("body"))
            .expect(1)
            .mount(&server)
            .await;
        let settings = AwsSettings::of_server(server.uri());
        let object = settings.s3().get_object().bucket("bucket").key("a key").send().await.unwrap();
        assert_eq!(&object.body.collect().await.unwrap().into_bytes()[..], b"body");
    }
}
