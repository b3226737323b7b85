//! S3, SQS, DynamoDB and Secrets Manager, emulated by moto.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::OnceCell;

use crate::process::Process;
use crate::{aws, free_port, http_client, tools};

const START_LIMIT: Duration = Duration::from_secs(90);

/// A running emulator.
#[derive(Debug)]
pub struct Moto {
    _process: Process,
    endpoint: String,
}

impl Moto {
    /// The emulator that all tests of this process share, each with its own bucket, queue and table names; started by the
    /// first that asks.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Moto> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// An emulator of the caller's own.
    ///
    /// # Errors
    /// When moto is not installed or does not start.
    pub async fn start() -> Result<Self> {
        let port = free_port()?;
        let mut server = tools::command(&tools::required("moto_server")?);
        server.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let mut process = Process::spawn("moto_server", server)?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let client = http_client::client(Duration::from_secs(5))?;
        let page = format!("{endpoint}/moto-api/data.json");
        process.ready(START_LIMIT, async |_| http_client::answers(&client, &page).await).await?;
        Ok(Self { _process: process, endpoint })
    }

    /// Its `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Forgets everything. Not for the shared one.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn reset(&self) -> Result<()> {
        let client = http_client::client(Duration::from_secs(10))?;
        let answer = client.post(format!("{}/moto-api/reset", self.endpoint)).send().await;
        answer.and_then(reqwest::Response::error_for_status).context("reset of moto")?;
        Ok(())
    }

    /// An S3 client for it.
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        aws::s3(&self.endpoint)
    }

    /// An SQS client for it.
    #[must_use]
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws::sqs(&self.endpoint)
    }

    /// A DynamoDB client for it.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws::dynamodb(&self.endpoint)
    }

    /// A Secrets Manager client for it.
    #[must_use]
    pub fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws::secrets(&self.endpoint)
    }
}
