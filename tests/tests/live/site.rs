//! A receiver behind one webhook, with a database, an auth server, a resource server and a dashboard of its own.

use std::collections::BTreeMap;

use e2e::receiver::{Metrics, TOKEN, adds_up, sum};
use e2e::{AuditWebhook, Metering, Minio, Receiver};
use serde_json::Value;

use crate::reader::{Reader, What};
use crate::until;

/// A receiver and its sinks.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) id: String,
    pub(crate) metering: Metering,
    pub(crate) receiver: Receiver,
}

impl Site {
    /// One whose ledger is at `ledger`. It shows downloads on the dashboard without an address: all come from this machine.
    pub(crate) async fn start(id: &str, ledger: &str) -> Self {
        let metering = Metering::start().await.unwrap();
        let mut environment = metering.environment();
        for (name, value) in [
            ("LEDGER_URL", ledger),
            ("PLAUSIBLE_API_URL", &metering.upstreams().url("")),
            ("PLAUSIBLE_DATA_DOMAIN", "data.example.org"),
            ("PLAUSIBLE_OTHER_ADDRESSES", "send-without"),
        ] {
            environment.push((name.to_owned(), value.to_owned()));
        }
        let receiver = Receiver::start(metering.place(), environment).await.unwrap();
        Self { id: id.to_owned(), metering, receiver }
    }

    /// Where entries go.
    pub(crate) fn endpoint(&self) -> String {
        self.receiver.url("/auditlogs/processor")
    }

    /// Has `minio` send its entries here.
    pub(crate) fn hears(&self, minio: &Minio, batch_size: u32, queue_dir: bool) {
        self.hears_with_token(minio, &format!("Bearer {TOKEN}"), batch_size, queue_dir);
    }

    /// The same with another token.
    pub(crate) fn hears_with_token(&self, minio: &Minio, token: &str, batch_size: u32, queue_dir: bool) {
        let endpoint = self.endpoint();
        minio.audit_webhook(&AuditWebhook { id: &self.id, endpoint: &endpoint, token, batch_size, queue_dir }).unwrap();
    }

    /// The rows of `user`: what, and when. Nobody but readers may have any.
    pub(crate) async fn rows(&self, user: &str) -> BTreeMap<What, Vec<String>> {
        let mut own = BTreeMap::<What, Vec<String>>::new();
        for ((row_user, collection, path, time, bytes), count) in self.metering.rows().await.unwrap() {
            assert!(Reader::is_one(&row_user), "a row of somebody who downloaded nothing: {path}, {bytes} bytes");
            if row_user == user {
                let item = path.split_once("/items/").unwrap().1.to_owned();
                let times = std::iter::repeat_n(time, usize::try_from(count).unwrap());
                own.entry((collection, item, bytes.try_into().unwrap())).or_default().extend(times);
            }
        }
        own
    }

    /// Waits until the rows of `reader` are what was downloaded, and nothing else is there.
    pub(crate) async fn bills(&self, reader: &Reader) {
        until(async || {
            let rows = self.rows(&reader.user).await;
            reader.compare(&rows).map_err(|why| format!("{}: {why}", self.id))
        })
        .await;
    }

    /// Waits until nothing is pending, and checks that the receiver's accounts add up and nothing is held or in quarantine.
    pub(crate) async fn settles(&self) -> Metrics {
        let metrics = self.receiver.settled().await.unwrap();
        assert!(adds_up(&metrics), "{}: {metrics:?}", self.id);
        let quarantined = self.metering.quarantined().unwrap();
        assert!(quarantined.is_empty() && self.metering.held().unwrap().is_empty(), "{}: {quarantined:?}", self.id);
        metrics
    }

    /// The recorded events about `key`.
    pub(crate) async fn events(&self, key: &str) -> Vec<Value> {
        let events = self.metering.upstreams().get("/_dev/events").await.unwrap();
        let url = format!("/downloads/{key}");
        let about = |event: &&Value| event["url"].as_str().is_some_and(|own| own.ends_with(&url));
        events["recorded"].as_array().unwrap().iter().filter(about).cloned().collect()
    }

    /// How many records were skipped for `reason`.
    pub(crate) async fn skipped(&self, reason: &str) -> u64 {
        let metrics = self.receiver.metrics().await.unwrap();
        whole(metrics.get(&format!("s3audit_skipped_total{{reason=\"{reason}\"}}")).copied().unwrap_or(0.0))
    }

    /// How many records there were.
    pub(crate) async fn records(&self) -> u64 {
        whole(sum(&self.receiver.metrics().await.unwrap(), "s3audit_records_total"))
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test's counts are small")]
pub(crate) fn whole(count: f64) -> u64 {
    count as u64
}
