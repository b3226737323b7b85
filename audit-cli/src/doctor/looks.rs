//! What is looked at, one after another.

use std::time::Duration;

use anyhow::Result;
use audit_core::check::{self, Finding, QueueTerms, Use};
use audit_core::client::{Client, Connections};
use audit_core::clock::Clock;
use audit_core::config::{Config, ProcessConfig, Secret};
use audit_core::ledger::LedgerUrl;
use audit_core::pipeline::{Parts, open_ledger, secret};
use audit_core::sink::ogc::{self, Settings};
use audit_core::sink::plausible;
use audit_core::spool::Spool;
use audit_core::store::{Place, Store};

use super::report::Report;
use super::{Args, Which};
use crate::work::Usage;

/// What the looks need.
pub(super) struct Looks<'a> {
    pub(super) args: &'a Args,
    pub(super) config: &'a Config,
    pub(super) clock: Clock,
    pub(super) report: &'a mut Report,
}

impl Looks<'_> {
    pub(super) async fn all(&mut self) -> Result<()> {
        match &self.config.process {
            Some(process) => self.metering(process).await?,
            None => self.note("metering: off (PROCESS_API_URL is not set)")?,
        }
        if self.config.process.is_some() || self.config.analytics.is_some() {
            self.ledger().await?;
            for (place, of) in [(&self.config.quarantine, Use::Quarantine), (&self.config.held, Use::Held)] {
                let findings = check::place(&self.store(place), of).await;
                self.report.tell_all(&findings)?;
            }
        }
        self.queue().await?;
        if self.args.program != Some(Which::MinioHttp) {
            self.bucket().await?;
        }
        if self.args.program != Some(Which::Cloudtrail) {
            self.webhook_token().await?;
        }
        self.analytics().await
    }

    async fn metering(&mut self, process: &ProcessConfig) -> Result<()> {
        let own = process.clone();
        let client_secret = match secret(&own.client_secret, &self.config.aws, "CLIENT_SECRET_ARN").await {
            Ok(value) => value,
            Err(error) => {
                self.report.tell(&Finding::Trouble(format!("{error}; without it there is no token")))?;
                return Ok(());
            }
        };
        let credentials = (own.client_id, client_secret);
        let settings =
            Settings::new(own.url, own.auth_url, credentials, (own.item_id, own.item_type), own.role, own.job_role);
        let settings = Settings { trust: self.config.trust, ..settings };
        let findings = ogc::check::check(&settings, &self.clock).await?;
        Ok(self.report.tell_all(&findings)?)
    }

    async fn ledger(&mut self) -> Result<()> {
        let mut parts = Parts::default();
        if matches!(self.config.ledger, LedgerUrl::Spool) {
            let directory = &self.config.receiver.spool;
            if !directory.join("spool.db").exists() {
                return self.note("ledger: in the spool (LEDGER_URL is spool:), which the receiver makes at its first start; not there yet");
            }
            match Spool::attach(directory, self.clock.clone()) {
                Ok(spool) => parts.spool = Some(spool),
                Err(error) => return Ok(self.report.tell(&Finding::Trouble(format!("SPOOL: {error}")))?),
            }
        }
        let findings = match open_ledger(self.config, &self.clock, &parts) {
            Ok(ledger) => check::ledger(&ledger).await,
            Err(error) => vec![Finding::Trouble(format!("LEDGER_URL: {error}"))],
        };
        Ok(self.report.tell_all(&findings)?)
    }

    fn store(&self, place: &Place) -> Store {
        Store::open(place, || self.config.aws.in_own_region().s3(), self.clock.clone())
    }

    async fn queue(&mut self) -> Result<()> {
        let url = self.args.queue.as_ref().or(self.config.receiver.queue_url.as_ref());
        let Some(url) = url else {
            return self.note("queue: not looked at (neither --queue nor QUEUE_URL)");
        };
        let function_timeout = Duration::from_secs(self.args.function_timeout);
        let terms = QueueTerms { function_timeout, lease: self.config.terms.lease };
        let findings = check::queue(&self.config.aws.sqs(), url, terms).await;
        Ok(self.report.tell_all(&findings)?)
    }

    async fn bucket(&mut self) -> Result<()> {
        let (bucket, prefix) = match (&self.args.bucket, &self.config.cloudtrail_bucket) {
            (Some(url), _) => match url.parse() {
                Ok(Place::S3 { bucket, prefix }) => (bucket, prefix),
                Ok(Place::Directory(_)) | Err(_) => {
                    return Err(Usage("--bucket: expected s3://BUCKET or s3://BUCKET/PREFIX").into());
                }
            },
            (None, Some(bucket)) => (bucket.clone(), String::new()),
            (None, None) => return self.note("bucket: not looked at (neither --bucket nor CLOUDTRAIL_BUCKET)"),
        };
        let findings = check::bucket(&self.config.aws.s3(), &bucket, &prefix).await;
        Ok(self.report.tell_all(&findings)?)
    }

    async fn webhook_token(&mut self) -> Result<()> {
        let Some(token @ Secret::Arn(_)) = &self.config.receiver.webhook_token else { return Ok(()) };
        let finding = match secret(token, &self.config.aws, "WEBHOOK_AUTH_TOKEN_ARN").await {
            Ok(_) => Finding::Fine("webhook token: read from Secrets Manager".to_owned()),
            Err(error) => Finding::Trouble(error.to_string()),
        };
        Ok(self.report.tell(&finding)?)
    }

    async fn analytics(&mut self) -> Result<()> {
        let Some(config) = &self.config.analytics else {
            return self.note("analytics: off (PLAUSIBLE_API_URL and PLAUSIBLE_DATA_DOMAIN are not set)");
        };
        let findings = plausible::check::check(config, &Client::new(Connections::Fresh, self.config.trust)?).await?;
        Ok(self.report.tell_all(&findings)?)
    }

    fn note(&mut self, text: &str) -> Result<()> {
        Ok(self.report.tell(&Finding::Note(text.to_owned()))?)
    }
}
