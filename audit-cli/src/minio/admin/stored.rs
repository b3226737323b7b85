//! A subsystem's configuration as MinIO writes it: one line a target, before it the environment variables that win over it.

use std::collections::BTreeMap;

/// The targets of one subsystem, by id.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored(BTreeMap<String, Target>);

/// One target: what is stored, and what the server's environment says instead.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    stored: BTreeMap<String, String>,
    /// By key, with the variable's name.
    environment: BTreeMap<String, (String, String)>,
}

impl Stored {
    pub(crate) fn parse(subsystem: &str, text: &str) -> Self {
        let mut targets = BTreeMap::new();
        let mut variables = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(variable) = line.strip_prefix("# ") {
                variables.extend(variable.split_once('=').filter(|(name, _)| name.starts_with("MINIO_")));
                continue;
            }
            let (name, values) = line.split_once(' ').unwrap_or((line, ""));
            let Some(id) = name.strip_prefix(subsystem) else { continue };
            let id = id.strip_prefix(':').unwrap_or("_");
            let environment = variables.drain(..).filter_map(|(name, value)| {
                let key = key_of(name, subsystem, id)?;
                Some((key, (name.to_owned(), value.trim_matches('"').to_owned())))
            });
            let target = Target { environment: environment.collect(), stored: values_of(values) };
            targets.insert(id.to_owned(), target);
        }
        Self(targets)
    }

    /// Whether this release of MinIO has such a key: the target without an id, which is always there, is shown with all that there are.
    pub(crate) fn knows(&self, key: &str) -> bool {
        self.0.get("_").is_none_or(|target| target.stored.contains_key(key) || key == "enable")
    }

    pub(crate) fn target(&self, id: &str) -> Option<&Target> {
        self.0.get(id)
    }

    /// The other targets that are on and send to `endpoint`.
    pub(crate) fn twins<'s>(&'s self, id: &'s str, endpoint: &'s str) -> impl Iterator<Item = &'s str> {
        let same = move |target: &Target| target.is_on() && target.value("endpoint") == Some(endpoint);
        self.0.iter().filter(move |(other, target)| *other != id && same(target)).map(|(other, _)| other.as_str())
    }
}

impl Target {
    /// The value in force: MinIO leaves empty ones and `enable=on` out.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        let stored = || self.stored.get(key).map(String::as_str);
        self.environment.get(key).map(|(_, value)| value.as_str()).or_else(stored).filter(|value| !value.is_empty())
    }

    /// The variable that wins over whatever is stored for `key`.
    pub(crate) fn variable(&self, key: &str) -> Option<&str> {
        self.environment.get(key).map(|(name, _)| name.as_str())
    }

    pub(crate) fn is_on(&self) -> bool {
        !matches!(self.value("enable"), Some("off" | "false"))
    }
}

/// `MINIO_AUDIT_WEBHOOK_QUEUE_DIR_metering` → `queue_dir`.
fn key_of(variable: &str, subsystem: &str, id: &str) -> Option<String> {
    let key = variable.strip_prefix("MINIO_")?.strip_prefix(&subsystem.to_ascii_uppercase())?.strip_prefix('_')?;
    let key = if id == "_" { key } else { key.strip_suffix(id)?.strip_suffix('_')? };
    Some(key.to_ascii_lowercase())
}

/// `key=value key="value with spaces" …`
fn values_of(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut rest = text.trim_start();
    while let Some((key, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        values.insert(key.trim().to_owned(), value.to_owned());
        rest = after.trim_start();
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
audit_webhook enable=off endpoint= auth_token= batch_size=1
# MINIO_AUDIT_WEBHOOK_ENABLE_env=on
# MINIO_AUDIT_WEBHOOK_ENDPOINT_env=http://receiver:8092/auditlogs/processor
audit_webhook:env enable=off endpoint= queue_dir=
audit_webhook:metering endpoint=http://receiver:8092/auditlogs/processor queue_dir=\"/var/lib/minio queue\" batch_size=100
";

    #[test]
    fn targets_are_read_with_what_wins_over_them() {
        let stored = Stored::parse("audit_webhook", TEXT);
        assert!(!stored.target("_").unwrap().is_on());
        let metering = stored.target("metering").unwrap();
        assert!(metering.is_on());
        assert_eq!(metering.value("queue_dir"), Some("/var/lib/minio queue"));
        assert_eq!((metering.value("batch_size"), metering.variable("batch_size")), (Some("100"), None));
        let env = stored.target("env").unwrap();
        assert!(env.is_on());
        assert_eq!(env.variable("endpoint"), Some("MINIO_AUDIT_WEBHOOK_ENDPOINT_env"));
        assert_eq!(stored.target("none"), None);
        assert!(stored.knows("batch_size") && !stored.knows("http_timeout"));
    }

    #[test]
    fn another_target_with_the_same_endpoint_is_a_twin() {
        let stored = Stored::parse("audit_webhook", TEXT);
        let twins = |id| stored.twins(id, "http://receiver:8092/auditlogs/processor").collect::<Vec<_>>();
        assert_eq!(twins("metering"), ["env"]);
        assert_eq!(twins("new"), ["env", "metering"]);
    }
}
