//! Starting MinIO again, where a change is in force only then.

use anyhow::Result;
use tokio::time::Instant;

use super::super::admin::{Info, Stored};
use super::super::report::progress;
use super::super::wait::until;
use super::Steps;

impl Steps {
    /// Stores the audit target, and sees to it that it is in force.
    pub(super) async fn store_audit(&mut self, stored: &Stored) -> Result<()> {
        if self.admin.store(&self.audit.line(stored)).await? {
            return Ok(());
        }
        self.restart("MinIO to be back", |_| Ok(())).await?;
        self.report.changed("MinIO was started again, as this release takes up a change of its webhook only then")?;
        Ok(())
    }

    /// Starts MinIO again and waits until all its servers are back and `back` finds what a start makes; `what` is waited for.
    pub(super) async fn restart<T>(&self, what: &str, back: impl Fn(&Info) -> Result<T, String>) -> Result<T> {
        // A server younger than a second could not be told from one that has started again.
        let offline = until("MinIO's start to be over", self.limit, async || match self.admin.info().await {
            Ok(info) if info.youngest_seconds() >= 1 => Ok(info.offline()),
            Ok(_) => Err("it has just started".to_owned()),
            Err(error) => Err(error.to_string()),
        })
        .await?;
        let asked = Instant::now();
        self.admin.restart().await?;
        progress("MinIO is starting again");
        until(what, self.limit, async || {
            let info = self.admin.info().await.map_err(|error| error.to_string())?;
            // One that is on its way cannot be reached, as one that was away before.
            if info.offline() > offline || !info.started_within(asked.elapsed()) {
                return Err("not all servers have started again".to_owned());
            }
            back(&info)
        })
        .await
    }
}
