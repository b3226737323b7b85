//! The steps of the set-up, in the order in which they can work; the check takes the same ones and changes nothing.

mod proof;
mod restart;

use std::time::Duration;

use anyhow::{Result, bail};
use audit_core::aws::{AwsCredentials, AwsSettings, Http};
use audit_core::client::{Client, Connections, Request, Trust};
use audit_core::config::MinioConfig;
use bytes::Bytes;
use http::{HeaderMap, Method};
use reqwest::Url;
use secrecy::SecretString;

use super::admin::{Admin, Info, Keys};
use super::download::Object;
use super::events;
use super::receiver::Receiver;
use super::report::Report;
use super::target::{Common, Difference, Wanted};
use super::wait::until;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Whether anything may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Setup,
    Check,
}

/// What a set-up works with.
pub(super) struct Steps {
    mode: Mode,
    endpoint: Url,
    keys: Keys,
    admin: Admin,
    receiver: Receiver,
    common: Common,
    audit: Wanted,
    notify: Option<Wanted>,
    buckets: Vec<String>,
    object: Option<Object>,
    limit: Duration,
    report: Report,
}

impl Steps {
    pub(super) fn new(
        mode: Mode,
        wanted: &super::Wanted,
        config: MinioConfig,
        receiver_here: Url,
        authorization: Option<SecretString>,
    ) -> Result<Self> {
        let keys = Keys { access: config.access_key, secret: config.secret_key };
        let common = Common {
            id: wanted.id.clone(),
            endpoint: config.receiver.to_string(),
            authorization,
            queue_dir: wanted.queue_dir.clone(),
        };
        Ok(Self {
            mode,
            admin: Admin::new(config.endpoint.clone(), keys.clone())?,
            endpoint: config.endpoint,
            keys,
            receiver: Receiver::new(receiver_here)?,
            audit: Wanted::audit(&common, wanted.batch_size, Duration::from_secs(wanted.http_timeout)),
            notify: wanted.notify.then(|| Wanted::notify(&common)),
            common,
            buckets: wanted.buckets.clone(),
            object: wanted.object.clone(),
            limit: Duration::from_secs(wanted.wait),
            report: Report::default(),
        })
    }

    /// Takes all of them; true where nothing is left to be mended.
    pub(super) async fn take(mut self) -> Result<bool> {
        self.answering().await?;
        let info = self.admin.info().await?;
        self.report.fine(&format!("MinIO at {} answers, and these are an administrator's keys", self.endpoint))?;
        if info.offline() > 0 {
            self.report
                .note(&format!("{} of its servers cannot be reached, and are not waited for", info.offline()))?;
        }
        self.receiver.ready(self.limit).await?;
        self.receiver.admits(self.common.authorization.as_ref()).await?;
        self.report.fine("the receiver is ready and takes the token")?;
        let s3 = self.s3(&info);
        for bucket in &self.buckets {
            events::exists(&s3, bucket).await?;
        }
        let audit_changed = self.audit_target().await?;
        if let Some(notify) = self.notify.take() {
            let arn = self.notify_target(&notify).await?;
            self.events(&s3, arn.as_deref()).await?;
        }
        self.arrives(&s3, audit_changed).await?;
        if self.mode == Mode::Setup && self.report.is_well() {
            self.report.sum_up()?;
        }
        Ok(self.report.is_well())
    }

    async fn answering(&self) -> Result<()> {
        let client = Client::new(Connections::Fresh, Trust::Machine)?;
        let mut url = self.endpoint.clone();
        url.set_path("/minio/health/ready");
        until(&format!("MinIO at {}", self.endpoint), self.limit, async || {
            let request =
                Request { method: Method::GET, url: url.clone(), headers: HeaderMap::new(), body: Bytes::new() };
            match client.send(request, TIMEOUT).await {
                // No MinIO; which server it is shows with the first call.
                Ok(answer) if answer.status.is_success() || answer.status.as_u16() == 404 => Ok(()),
                Ok(answer) => Err(format!("not ready yet ({})", answer.status.as_u16())),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    fn s3(&self, info: &Info) -> aws_sdk_s3::Client {
        let credentials = AwsCredentials {
            access_key_id: self.keys.access.clone(),
            secret_access_key: self.keys.secret.clone(),
            session_token: None,
        };
        let settings = AwsSettings {
            region: info.region().unwrap_or("us-east-1").to_owned(),
            endpoint: Some(self.endpoint.to_string()),
            credentials: Some(credentials),
            http: Http::trusting(Trust::Machine),
            ..AwsSettings::default()
        };
        settings.s3()
    }

    /// Sees to the audit target; true where it was changed.
    async fn audit_target(&mut self) -> Result<bool> {
        let name = self.audit.name();
        let stored = self.admin.stored(self.audit.subsystem()).await?;
        let twins: Vec<_> = stored.twins(&self.common.id, &self.common.endpoint).map(str::to_owned).collect();
        for twin in twins {
            self.report.note(&format!(
                "audit_webhook:{twin} sends to the receiver too, so every entry comes twice (and is counted once)"
            ))?;
        }
        if self.common.queue_dir.is_none()
            && stored.target(&self.common.id).is_none_or(|own| own.value("queue_dir").is_none())
        {
            self.report.note("no queue_dir: what MinIO has not sent is lost when it ends; give --queue-dir")?;
        }
        for (key, without) in self.audit.unknown(&stored) {
            self.report.note(&format!("this release of MinIO knows no {key}: {without}"))?;
        }
        let difference = self.audit.difference(&stored)?;
        if difference == Difference::None {
            self.report.fine(&format!("{name} is set"))?;
            return Ok(false);
        }
        if self.mode == Mode::Check {
            self.report.trouble(&format!("{name} {}", told(&difference)))?;
            return Ok(false);
        }
        if let Some(before) = self.audit.left_behind(&stored) {
            self.report.note(&format!(
                "entries that wait in {before} are not sent from there any more: set it again to have them sent"
            ))?;
        }
        self.store_audit(&stored).await?;
        self.read_back(&self.audit).await?;
        self.report.changed(&format!("{name} is set now: it {}", told_before(&difference)))?;
        Ok(true)
    }

    /// Sees to the notification target, and finds its ARN. It is in force, is shown and has its ARN only once MinIO has started again.
    async fn notify_target(&mut self, notify: &Wanted) -> Result<Option<String>> {
        let name = notify.name();
        let stored = self.admin.stored(notify.subsystem()).await?;
        let difference = notify.difference(&stored)?;
        let arn = self.admin.info().await?.arn(&self.common.id).map(str::to_owned);
        let is_set = difference == Difference::None;
        if is_set {
            self.report.fine(&format!("{name} is set"))?;
        } else if self.mode == Mode::Check {
            self.report.trouble(&format!("{name} {}", told(&difference)))?;
        }
        if let Some(arn) = &arn
            && (is_set || self.mode == Mode::Check)
        {
            self.report.fine(&format!("its ARN is {arn}"))?;
            return Ok(Some(arn.clone()));
        }
        if self.mode == Mode::Check {
            self.report.trouble("it has no ARN: MinIO makes one when it starts again (run setup)")?;
            return Ok(None);
        }
        if !is_set {
            self.admin.store(&notify.line(&stored)).await?;
        }
        let arn = self
            .restart(&format!("MinIO to be back with {name}"), |info| {
                info.arn(&self.common.id).map(str::to_owned).ok_or_else(|| "no ARN yet".to_owned())
            })
            .await?;
        if !is_set {
            self.read_back(notify).await?;
            self.report.changed(&format!("{name} is set now: it {}", told_before(&difference)))?;
        }
        self.report.changed(&format!("MinIO was started again; its ARN is {arn}"))?;
        Ok(Some(arn))
    }

    async fn events(&mut self, s3: &aws_sdk_s3::Client, arn: Option<&str>) -> Result<()> {
        let Some(arn) = arn else { return Ok(()) };
        for bucket in self.buckets.clone() {
            if events::subscribed(s3, &bucket, arn).await? {
                self.report.fine(&format!("reads of {bucket} are notified of"))?;
            } else if self.mode == Mode::Check {
                self.report.trouble(&format!("reads of {bucket} are not notified of (run setup)"))?;
            } else {
                events::subscribe(s3, &bucket, arn).await?;
                if !events::subscribed(s3, &bucket, arn).await? {
                    bail!("--bucket {bucket}: MinIO took the event, but does not show it");
                }
                self.report.changed(&format!("reads of {bucket} are notified of now"))?;
            }
        }
        Ok(())
    }

    async fn read_back(&self, wanted: &Wanted) -> Result<()> {
        match wanted.difference(&self.admin.stored(wanted.subsystem()).await?)? {
            Difference::None => Ok(()),
            difference @ (Difference::Missing | Difference::Keys(_)) => {
                bail!("{}: MinIO took it, but then it {}", wanted.name(), told(&difference))
            }
        }
    }
}

/// What is wrong with a target.
fn told(difference: &Difference) -> String {
    match difference {
        Difference::None => "is as wanted".to_owned(),
        Difference::Missing => "is not there (run setup)".to_owned(),
        Difference::Keys(keys) => format!("differs in {} (run setup)", keys.join(", ")),
    }
}

/// What was wrong with it.
fn told_before(difference: &Difference) -> String {
    match difference {
        Difference::None => "was as wanted".to_owned(),
        Difference::Missing => "was not there".to_owned(),
        Difference::Keys(keys) => format!("differed in {}", keys.join(", ")),
    }
}
