//! What a cluster tells of itself: its servers' age, its targets, its ARNs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

/// The part of the server information that is of use here.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Info {
    #[serde(rename = "sqsARN")]
    arns: Option<Vec<String>>,
    region: Option<String>,
    servers: Option<Vec<Server>>,
    services: Services,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Server {
    state: String,
    uptime: u64,
}

impl Server {
    /// One that cannot be reached is told of with an age of nothing.
    fn is_offline(&self) -> bool {
        self.state == "offline"
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Services {
    audit: Option<Vec<BTreeMap<String, Status>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    status: String,
}

impl Info {
    /// The ARN of a `notify_webhook` target; MinIO makes it at its start.
    pub(crate) fn arn(&self, id: &str) -> Option<&str> {
        let end = format!(":{id}:webhook");
        self.arns.iter().flatten().map(String::as_str).find(|arn| arn.ends_with(&end))
    }

    /// How many servers cannot be reached.
    pub(crate) fn offline(&self) -> usize {
        self.servers.iter().flatten().filter(|server| server.is_offline()).count()
    }

    fn reached(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().flatten().filter(|server| !server.is_offline())
    }

    /// Whether every server that can be reached has been up for less than `since`.
    pub(crate) fn started_within(&self, since: Duration) -> bool {
        let mut servers = self.reached().peekable();
        servers.peek().is_some() && servers.all(|server| server.uptime <= since.as_secs())
    }

    /// How long the youngest server has been up, in seconds.
    pub(crate) fn youngest_seconds(&self) -> u64 {
        self.reached().map(|server| server.uptime).min().unwrap_or_default()
    }

    /// The region that buckets are in, where one is configured.
    pub(crate) fn region(&self) -> Option<&str> {
        self.region.as_deref().filter(|region| !region.is_empty())
    }

    /// Whether MinIO's last attempt at an audit target got through; `None`: it has no such target.
    pub(crate) fn audit_is_online(&self, id: &str) -> Option<bool> {
        let name = format!("audit-{id}");
        let known = self.services.audit.iter().flatten().find_map(|target| target.get(&name))?;
        Some(known.status.eq_ignore_ascii_case("online"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> Info {
        let text = r#"{"mode":"online","region":"eu","sqsARN":["arn:minio:sqs::other:webhook","arn:minio:sqs:eu:metering:webhook"],
            "servers":[{"state":"online","uptime":7},{"state":"offline","uptime":0},{"uptime":9}],
            "services":{"audit":[{"audit-other":{"status":"online"}},{"audit-metering":{"status":"offline"}}]}}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn targets_are_found_by_their_id() {
        assert_eq!(info().arn("metering"), Some("arn:minio:sqs:eu:metering:webhook"));
        assert_eq!(info().arn("eter"), None);
        assert_eq!(info().audit_is_online("metering"), Some(false));
        assert_eq!(info().audit_is_online("other"), Some(true));
        assert_eq!(info().audit_is_online("none"), None);
    }

    #[test]
    fn a_cluster_has_started_when_its_last_server_has() {
        assert!(!info().started_within(Duration::from_secs(8)));
        assert!(info().started_within(Duration::from_secs(9)));
        assert!(!Info::default().started_within(Duration::from_secs(9)));
        assert_eq!((info().youngest_seconds(), info().offline(), info().region()), (7, 1, Some("eu")));
    }
}
