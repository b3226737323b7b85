//! The proof that entries arrive: one download, seen by the receiver.

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use super::super::download::{client, download};
use super::super::report::progress;
use super::super::wait::until;
use super::{Mode, Steps};

/// An entry waits a second for others of its batch, and a request that failed three.
const ARRIVAL: Duration = Duration::from_secs(30);
/// One entry may be lost on its way to MinIO's queue, so the download is made again meanwhile.
const AGAIN: Duration = Duration::from_secs(10);

impl Steps {
    /// Proves by a download that entries arrive. Where nothing had to be changed and none does, the token may be another, which MinIO
    /// never shows: a set-up then stores it again.
    pub(super) async fn arrives(&mut self, s3: &aws_sdk_s3::Client, audit_changed: bool) -> Result<()> {
        let Err(why) = self.arrival(s3, audit_changed).await? else { return Ok(()) };
        if self.mode == Mode::Check || audit_changed {
            return Ok(self.report.trouble(&why)?);
        }
        progress(&format!("{why}: storing {} again, with the token", self.audit.name()));
        let stored = self.admin.stored(self.audit.subsystem()).await?;
        self.store_audit(&stored).await?;
        match self.arrival(s3, true).await? {
            Ok(()) => self.report.changed(&format!("{} was stored again: its token was another", self.audit.name()))?,
            Err(why) => self.report.trouble(&why)?,
        }
        Ok(())
    }

    /// Downloads, and waits for the entry; the inner error says what keeps it away. `token_is_ours`: it was stored just now.
    async fn arrival(&mut self, s3: &aws_sdk_s3::Client, token_is_ours: bool) -> Result<Result<(), String>> {
        let before = self.receiver.seen().await.map_err(anyhow::Error::msg)?;
        let client = client()?;
        download(&client, s3, self.object.as_ref()).await?;
        let Some(before) = before else {
            self.report
                .note("the receiver has no /metrics here, so nobody saw whether the entry of the download arrived")?;
            return Ok(Ok(()));
        };
        let limit = self.limit.min(ARRIVAL);
        let start = Instant::now();
        let mut last = start;
        let arrived = until("the entry of the download", limit, async || match self.receiver.seen().await? {
            // Fewer records than before: it was started again meanwhile.
            Some(now) if now.without_ids > before.without_ids || now.records < before.records => Ok(()),
            _ => {
                if last.elapsed() >= AGAIN {
                    last = Instant::now();
                    download(&client, s3, self.object.as_ref()).await.map_err(|error| error.to_string())?;
                }
                Err("the receiver has not seen it".to_owned())
            }
        })
        .await;
        if let Err(error) = arrived {
            return Ok(Err(format!("{error}: {}", self.obstacle(token_is_ours).await?)));
        }
        self.report
            .fine(&format!("a presigned download was seen to arrive, after {:.1} s", start.elapsed().as_secs_f64()))?;
        Ok(Ok(()))
    }

    /// MinIO calls a target online once a request to it succeeded; a refusal leaves that as it was.
    async fn obstacle(&self, token_is_ours: bool) -> Result<String> {
        let endpoint = &self.common.endpoint;
        // It wins over what is stored, and MinIO shows neither.
        let environment = format!(
            "; or MINIO_AUDIT_WEBHOOK_AUTH_TOKEN_{} in MinIO's environment holds another token",
            self.common.id
        );
        let unreachable =
            format!("MinIO cannot reach {endpoint} from where it runs (name, port, network, certificate){environment}");
        Ok(match (self.admin.info().await?.audit_is_online(&self.common.id), token_is_ours) {
            (Some(false), true) => unreachable,
            (Some(false), false) => format!("{unreachable}, or another token is stored (run setup)"),
            (Some(true), _) => format!(
                "MinIO has reached {endpoint}, so it is refused now (another token is stored, or another receiver is there), or older \
                 entries are before it{environment}"
            ),
            (None, _) => "MinIO has no such target in force: look for its reason in its log (queue_dir must be writable on each server)"
                .to_owned(),
        })
    }
}
