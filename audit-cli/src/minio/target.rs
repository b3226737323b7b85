//! The two webhook targets: what they should be, and how what is stored differs.

use std::time::Duration;

use anyhow::{Result, bail};
use secrecy::{ExposeSecret, SecretString};

use super::admin::Stored;

/// A webhook target as it should be.
#[derive(Debug)]
pub(super) struct Wanted {
    subsystem: &'static str,
    id: String,
    /// Without the token, which MinIO never shows again.
    values: Vec<(&'static str, String)>,
    token: Option<SecretString>,
}

/// How what is in force compares.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// Not at all, as far as MinIO shows it.
    None,
    /// There is no such target.
    Missing,
    /// In these keys.
    Keys(Vec<&'static str>),
}

/// What both targets share.
#[derive(Debug, Clone)]
pub(super) struct Common {
    pub(super) id: String,
    pub(super) endpoint: String,
    /// `Authorization` as MinIO is to send it.
    pub(super) authorization: Option<SecretString>,
    pub(super) queue_dir: Option<String>,
}

impl Wanted {
    /// The target that every request is told to.
    pub(super) fn audit(common: &Common, batch_size: u32, http_timeout: Duration) -> Self {
        let mut wanted = Self::webhook("audit_webhook", common);
        wanted.values.push(("batch_size", batch_size.to_string()));
        wanted.values.push(("http_timeout", format!("{}s", http_timeout.as_secs())));
        // For ever: after any other number MinIO drops what was not taken.
        wanted.values.push(("max_retry", "0".to_owned()));
        wanted
    }

    /// The target that buckets send their events to.
    pub(super) fn notify(common: &Common) -> Self {
        Self::webhook("notify_webhook", common)
    }

    fn webhook(subsystem: &'static str, common: &Common) -> Self {
        let mut values = vec![("endpoint", common.endpoint.clone())];
        values.extend(common.queue_dir.clone().map(|directory| ("queue_dir", directory)));
        Self { subsystem, id: common.id.clone(), values, token: common.authorization.clone() }
    }

    pub(super) fn subsystem(&self) -> &'static str {
        self.subsystem
    }

    /// `SUBSYSTEM:ID`.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.subsystem, self.id)
    }

    /// What is in force against what should be.
    ///
    /// # Errors
    /// Where a variable of MinIO's own environment holds another value, which no stored one can change.
    pub(super) fn difference(&self, stored: &Stored) -> Result<Difference> {
        let Some(target) = stored.target(&self.id) else { return Ok(Difference::Missing) };
        let mut different = Vec::new();
        for (key, wanted) in self.all().filter(|(key, _)| stored.knows(key)) {
            // Empty is as many as none.
            let found = target.value(key).or_else(|| (key == "max_retry").then_some("0"));
            if key == "enable" && target.is_on() || found == Some(wanted) {
                continue;
            }
            if let Some(variable) = target.variable(key) {
                bail!(
                    "{}: {variable} in MinIO's environment wins over what is stored, and its {key} is not {wanted}: change it there \
                     or remove it, and start MinIO again",
                    self.name()
                );
            }
            different.push(key);
        }
        Ok(if different.is_empty() { Difference::None } else { Difference::Keys(different) })
    }

    /// The keys that this release of MinIO does not know, and what that means.
    pub(super) fn unknown(&self, stored: &Stored) -> Vec<(&'static str, &'static str)> {
        self.all().filter(|(key, _)| !stored.knows(key)).map(|(key, _)| (key, without(key))).collect()
    }

    /// The directory that is given up for another one: what waits there is sent by nobody any more.
    pub(super) fn left_behind<'s>(&self, stored: &'s Stored) -> Option<&'s str> {
        let wanted = self.values.iter().find(|(key, _)| *key == "queue_dir")?;
        stored.target(&self.id)?.value("queue_dir").filter(|before| *before != wanted.1)
    }

    /// What MinIO's configuration call takes. A key it does not know would be taken for a part of the value before it.
    pub(super) fn line(&self, stored: &Stored) -> String {
        let mut line = self.name();
        let token = self.token.as_ref().map_or("", |token| token.expose_secret());
        for (key, value) in self.all().filter(|(key, _)| stored.knows(key)).chain([("auth_token", token)]) {
            line.extend([" ", key, "=\"", value, "\""]);
        }
        line
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let values = self.values.iter().map(|(key, value)| (*key, value.as_str()));
        values.chain([("enable", "on")])
    }
}

/// What MinIO does where it has no such key.
fn without(key: &str) -> &'static str {
    match key {
        "queue_dir" => "what it has not sent is lost when it ends",
        "batch_size" => "it sends each entry by itself",
        "http_timeout" => "it waits a few seconds for an answer, and then sends again",
        "max_retry" => "without queue_dir it may drop what was not taken after a few failures",
        _ => "it is left out",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        let common = Common {
            id: "metering".to_owned(),
            endpoint: "http://receiver:8092/auditlogs/processor".to_owned(),
            authorization: Some("Bearer hunter2".into()),
            queue_dir: Some("/queue".to_owned()),
        };
        Wanted::audit(&common, 100, Duration::from_secs(10))
    }

    fn difference(text: &str) -> Result<Difference> {
        wanted().difference(&Stored::parse("audit_webhook", text))
    }

    const SAME: &str = "audit_webhook:metering endpoint=http://receiver:8092/auditlogs/processor queue_dir=/queue batch_size=100 http_timeout=10s";

    #[test]
    fn what_is_as_wanted_differs_in_nothing() {
        assert_eq!(difference(SAME).unwrap(), Difference::None);
        assert_eq!(difference("audit_webhook enable=off endpoint=").unwrap(), Difference::Missing);
    }

    #[test]
    fn the_keys_that_differ_are_named() {
        let other = SAME.replace("=100", "=1").replace("queue_dir=/queue ", "") + " enable=off";
        assert_eq!(difference(&other).unwrap(), Difference::Keys(vec!["queue_dir", "batch_size", "enable"]));
    }

    #[test]
    fn what_an_older_release_does_not_know_is_left_out() {
        let old =
            Stored::parse("audit_webhook", "audit_webhook enable=off endpoint= auth_token= queue_dir= batch_size=1\n");
        let unknown: Vec<_> = wanted().unknown(&old).into_iter().map(|(key, _)| key).collect();
        assert_eq!(unknown, ["http_timeout", "max_retry"]);
        let line = wanted().line(&old);
        assert!(
            line.contains("batch_size=") && !line.contains("http_timeout") && !line.contains("max_retry"),
            "{line}"
        );
    }

    #[test]
    fn giving_up_after_some_tries_and_leaving_a_directory_are_seen() {
        let gives_up = format!("{SAME} max_retry=3");
        assert_eq!(difference(&gives_up).unwrap(), Difference::Keys(vec!["max_retry"]));
        let left = |text: &str| wanted().left_behind(&Stored::parse("audit_webhook", text)).map(str::to_owned);
        assert_eq!(left(SAME), None);
        assert_eq!(left(&SAME.replace("=/queue", "=/old")), Some("/old".to_owned()));
    }

    #[test]
    fn the_environment_wins_and_is_told() {
        let text = format!("# MINIO_AUDIT_WEBHOOK_BATCH_SIZE_metering=1\n{SAME}");
        let error = difference(&text).unwrap_err().to_string();
        assert!(error.contains("MINIO_AUDIT_WEBHOOK_BATCH_SIZE_metering"), "{error}");
        let agreed = format!("# MINIO_AUDIT_WEBHOOK_BATCH_SIZE_metering=100\n{SAME}");
        assert_eq!(difference(&agreed).unwrap(), Difference::None);
    }

    #[test]
    fn the_line_is_what_the_configuration_call_takes() {
        assert_eq!(
            wanted().line(&Stored::default()),
            "audit_webhook:metering endpoint=\"http://receiver:8092/auditlogs/processor\" queue_dir=\"/queue\" batch_size=\"100\" \
             http_timeout=\"10s\" max_retry=\"0\" enable=\"on\" auth_token=\"Bearer hunter2\""
        );
        assert!(!format!("{:?}", wanted()).contains("hunter2"));
    }
}
