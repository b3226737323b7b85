//! How MinIO is told where its audit entries and notifications go, and what it has yet to send.

use std::path::Path;

use anyhow::{Context, Result};

use crate::{Minio, aws};

/// One `audit_webhook` of a server.
#[derive(Debug, Clone, Copy)]
pub struct AuditWebhook<'a> {
    /// Its name among the others.
    pub id: &'a str,
    /// Where entries go.
    pub endpoint: &'a str,
    /// What `Authorization` is to be.
    pub token: &'a str,
    /// Entries in one POST.
    pub batch_size: u32,
    /// Whether entries wait on disk, and not in memory.
    pub queue_dir: bool,
}

impl Minio {
    /// Adds or changes an audit webhook; this takes effect at once.
    ///
    /// # Errors
    /// When `mc` says so.
    pub fn audit_webhook(&self, webhook: &AuditWebhook<'_>) -> Result<()> {
        let name = format!("audit_webhook:{}", webhook.id);
        let endpoint = format!("endpoint={}", webhook.endpoint);
        let token = format!("auth_token={}", webhook.token);
        let batch = format!("batch_size={}", webhook.batch_size);
        let queue = format!("queue_dir={}", self.queue(webhook.id));
        let mut arguments =
            vec!["admin", "config", "set", "local", &name, &endpoint, &token, &batch, "http_timeout=10s"];
        if webhook.queue_dir {
            arguments.push(&queue);
        }
        self.mc(&arguments).map(drop)
    }

    /// Adds a notification webhook with a queue on disk, restarts the server, which this takes effect with, and has it told of every
    /// read in `bucket`. The endpoint must be up.
    ///
    /// # Errors
    /// When `mc` says so, or the server is not back in time.
    pub async fn notify_webhook(&mut self, id: &str, endpoint: &str, token: &str, bucket: &str) -> Result<()> {
        let (name, queue) = (format!("notify_webhook:{id}"), format!("queue_dir={}", self.queue(id)));
        let (endpoint, token) = (format!("endpoint={endpoint}"), format!("auth_token={token}"));
        self.mc(&["admin", "config", "set", "local", &name, &endpoint, &token, &queue])?;
        self.restart_itself().await?;
        let (target, arn) = (format!("local/{bucket}"), format!("arn:minio:sqs:{}:{id}:webhook", aws::REGION));
        self.mc(&["event", "add", &target, &arn, "--event", "get"]).map(drop)
    }

    /// How many entries wait on disk for the audit webhook `id`, of whatever kind.
    ///
    /// # Errors
    /// When their folder cannot be read.
    pub fn queued(&self, id: &str) -> Result<usize> {
        let folder = Path::new(&self.queue(id)).join(format!("minio-http-audit-{id}"));
        let mut entries = 0;
        for file in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            // Compressed, in a way that few can read; but several entries in one file are in its name: `7:UUID.http.log.snappy`.
            let name = file?.file_name().to_string_lossy().into_owned();
            entries += name.split_once(':').map_or(Ok(1), |(count, _)| count.parse()).with_context(|| name.clone())?;
        }
        Ok(entries)
    }

    fn queue(&self, id: &str) -> String {
        self.path(&format!("queue-{id}")).display().to_string()
    }
}
