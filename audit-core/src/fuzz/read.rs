//! What a read tells a dashboard: User-Agent, key, address, and the event made of them.

use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::Timestamp;

use crate::analytics::glob::Patterns;
use crate::analytics::path::PathTemplates;
use crate::analytics::plausible_event::{
    MAX_PROP_NAME_BYTES, MAX_PROP_VALUE_BYTES, MAX_PROPS, MAX_URL_BYTES, PlausibleEvent,
};
use crate::analytics::user_agent::{Class, stripped};
use crate::analytics::{AnalyticsPolicy, Exclusion, Read};
use crate::config::read_analytics;
use crate::event::Backend;

static POLICY: LazyLock<Option<AnalyticsPolicy>> = LazyLock::new(|| {
    let variables = [
        ("PLAUSIBLE_API_URL", "http://plausible:8000"),
        ("PLAUSIBLE_DATA_DOMAIN", "data.example"),
        ("PLAUSIBLE_OTHER_PATHS", "send-without"),
        ("PLAUSIBLE_OTHER_ADDRESSES", "send-without"),
    ];
    AnalyticsPolicy::new(read_analytics(&HashMap::from(variables)).ok()??).ok()
});

/// Lines: User-Agent, key, client address, item, a path template and globs. Whatever they are, the event keeps the server's limits, its headers are
/// headers, and every visitor has a class.
pub fn read(lines: &[u8]) {
    let text = String::from_utf8_lossy(lines);
    // A line may be anything but two of these, also line ends.
    let mut lines = text.split("\n\n");
    let mut next = || lines.next().unwrap_or_default().to_owned();
    let read = Read {
        backend: Backend::Minio,
        bucket: "b".to_owned(),
        user_agent: Some(next()),
        key: next(),
        client_address: Some(next()),
        item: Some(next()),
        access_key: None,
        time: None,
        bytes: None,
        collection: None,
        asset: None,
        identity: None,
    };
    if let Ok(templates) = PathTemplates::parse(&next()) {
        let props = templates.props(&read.key).unwrap_or_default();
        assert!(props.iter().all(|(name, value)| !name.is_empty() && !value.is_empty()), "{props:?}");
    }
    if let Ok(patterns) = Patterns::parse(&next()) {
        let _ = patterns.matches(&read.bucket, &read.key);
    }
    let policy = POLICY.as_ref().unwrap_or_else(|| unreachable!("these settings are sound"));
    let visit = match policy.judge(&read, Timestamp::UNIX_EPOCH) {
        Ok(visit) => visit,
        Err(Exclusion::OwnProgram) => return,
        Err(other) => unreachable!("nothing else is excluded: {other:?}"),
    };
    let agent = stripped(read.user_agent.as_deref().unwrap_or_default());
    assert_eq!(visit.client.class == Class::Unknown, matches!(agent, "" | "-"), "a class for everybody");
    let sent = policy.user_agent(&visit);
    assert!(sent.len() <= 1000 && http::HeaderValue::from_bytes(sent.as_bytes()).is_ok(), "no header");

    let event = serde_json::to_value(PlausibleEvent::new(&policy.config, &visit, None)).unwrap_or_default();
    let url = event.get("url").and_then(serde_json::Value::as_str).unwrap_or_default();
    let path = url.strip_prefix("https://data.example/downloads/");
    assert!(path.is_some() && url.len() <= MAX_URL_BYTES && url.is_ascii(), "{url}");
    let props = event.get("props").and_then(serde_json::Value::as_object).into_iter().flatten();
    assert!(props.clone().count() <= MAX_PROPS, "too many props");
    for (name, value) in props {
        let value = value.as_str().unwrap_or_default();
        assert!(name.len() <= MAX_PROP_NAME_BYTES && value.len() <= MAX_PROP_VALUE_BYTES, "{name} is too long");
        assert!(!value.trim().is_empty() && !value.contains(char::is_control), "{name} is blank or not printable");
    }
}
