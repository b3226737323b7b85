//! The event as the server takes it: all of its limits are kept here, since it cuts or refuses without a word.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::policy::Visit;
use crate::config::AnalyticsConfig;

/// The longest URL, in bytes.
pub const MAX_URL_BYTES: usize = 2000;
/// The most props.
pub const MAX_PROPS: usize = 30;
/// The longest name of a prop, in bytes.
pub const MAX_PROP_NAME_BYTES: usize = 300;
/// The longest value of a prop, in bytes.
pub const MAX_PROP_VALUE_BYTES: usize = 2000;
/// The longest name of an event, in characters.
pub const MAX_NAME_CHARS: usize = 120;

/// The body of one `POST /api/event`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlausibleEvent {
    name: String,
    url: String,
    domain: String,
    props: BTreeMap<String, String>,
    /// The long name: the server misreads `false` under the short one.
    #[serde(skip_serializing_if = "Option::is_none")]
    interactive: Option<bool>,
}

impl PlausibleEvent {
    /// The event of a download that `visit` is the first part of, and that was `bytes` long as far as is known.
    #[must_use]
    pub fn new(config: &AnalyticsConfig, visit: &Visit<'_>, bytes: Option<u64>) -> Self {
        let read = visit.read;
        let time = visit.at.to_string();
        // The event's own first: what is over the limit is left out from the end, and of one name the first value counts.
        let own = [
            ("method", Some(visit.client.class.name())),
            ("client", visit.client.name),
            ("client_version", visit.client.version),
            ("bytes", bytes.map(size_class)),
            ("backend", Some(read.backend.name())),
            ("time", visit.timed.then_some(time.as_str())),
            ("user_agent", Some(visit.user_agent)),
            ("collection", read.collection.as_deref()),
            ("item", read.item.as_deref()),
            ("asset", read.asset.as_deref()),
        ];
        let own = own.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let path = visit.path.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Self {
            name: first_chars(&config.event_name, MAX_NAME_CHARS),
            url: url(&config.domain, &read.key),
            domain: config.domain.clone(),
            props: props(own.chain(path)),
            interactive: config.interactive,
        }
    }
}

/// Control characters are of no use to anybody. Blank values, also those of nothing else, would vanish at the server after taking a place.
fn props<'p>(pairs: impl Iterator<Item = (&'p str, &'p str)>) -> BTreeMap<String, String> {
    let mut props = BTreeMap::new();
    for (name, value) in pairs {
        let value: String = value.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        if props.len() < MAX_PROPS && !value.trim().is_empty() {
            let name = cut(name, MAX_PROP_NAME_BYTES).into_owned();
            props.entry(name).or_insert_with(|| cut(&value, MAX_PROP_VALUE_BYTES).into_owned());
        }
    }
    props
}

/// What stands for itself in the path of a URL.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
const MARK: &str = "…";
const ENCODED_MARK: &str = "%E2%80%A6";

fn url(domain: &str, key: &str) -> String {
    let start = format!("https://{domain}/downloads/");
    let whole = utf8_percent_encode(key, ENCODED).to_string();
    if start.len() + whole.len() <= MAX_URL_BYTES {
        return start + &whole;
    }
    let room = MAX_URL_BYTES.saturating_sub(start.len() + ENCODED_MARK.len());
    let mut len = 0;
    let fits = key.char_indices().take_while(|(_, char)| {
        len += utf8_percent_encode(char.encode_utf8(&mut [0; 4]), ENCODED).map(str::len).sum::<usize>();
        len <= room
    });
    let end = fits.last().map_or(0, |(at, char)| at + char.len_utf8());
    format!("{start}{}{ENCODED_MARK}", utf8_percent_encode(key.get(..end).unwrap_or_default(), ENCODED))
}

/// `text` within `max_bytes`; where it is longer, cut between two characters and marked.
fn cut(text: &str, max_bytes: usize) -> Cow<'_, str> {
    if text.len() <= max_bytes {
        return text.into();
    }
    let end =
        (0..=max_bytes.saturating_sub(MARK.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
    format!("{}{MARK}", text.get(..end).unwrap_or_default()).into()
}

fn first_chars(text: &str, max_chars: usize) -> String {
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    text.chars().take(max_chars - 1).chain(MARK.chars()).collect()
}

/// Classes by powers of ten, since a dashboard counts values and cannot add them up.
fn size_class(bytes: u64) -> &'static str {
    match bytes {
        ..1_000_000 => "under 1 MB",
        1_000_000..10_000_000 => "1-10 MB",
        10_000_000..100_000_000 => "10-100 MB",
        100_000_000..1_000_000_000 => "100 MB-1 GB",
        1_000_000_000..10_000_000_000 => "1-10 GB",
        10_000_000_000.. => "over 10 GB",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::super::Read;
    use super::super::samples::{NOW, config, read};
    use super::*;
    use crate::analytics::AnalyticsPolicy;

    fn event(variables: &[(&str, &str)], read: &Read, bytes: Option<u64>) -> PlausibleEvent {
        let policy = AnalyticsPolicy::new(config(variables)).unwrap();
        let visit = policy.judge(read, NOW.parse().unwrap()).unwrap();
        PlausibleEvent::new(&policy.config, &visit, bytes)
    }

    #[test]
    fn an_event_reads_as_the_server_wants_it() {
        let ids = Read { item: Some("S2A".into()), collection: Some("sentinel".into()), ..read() };
        let json = serde_json::to_string_pretty(&event(&[], &ids, Some(42_000_000))).unwrap();
        insta::assert_snapshot!(json, @r#"
        {
          "name": "S3 Download",
          "url": "https://data.example/downloads/v0.1/spatial/parquet/italy.parquet",
          "domain": "data.example",
          "props": {
            "backend": "minio",
            "bytes": "10-100 MB",
            "client": "aws-cli",
            "client_version": "2.15.30",
            "collection": "sentinel",
            "country": "it",
            "format": "parquet",
            "item": "S2A",
            "method": "CLI",
            "region": "italy",
            "time": "2026-03-01T12:00:00Z",
            "type": "spatial",
            "user_agent": "aws-cli/2.15.30 md/installer#exe md/command#s3.cp",
            "version": "v0.1"
          }
        }
        "#);
        let other = Read { user_agent: None, time: None, ..read() };
        let other = event(&[("PLAUSIBLE_EVENT_NAME", "Download"), ("PLAUSIBLE_INTERACTIVE", "false")], &other, None);
        let json = serde_json::to_string(&other).unwrap();
        insta::assert_snapshot!(json, @r#"{"name":"Download","url":"https://data.example/downloads/v0.1/spatial/parquet/italy.parquet","domain":"data.example","props":{"backend":"minio","country":"it","format":"parquet","method":"Unknown","region":"italy","type":"spatial","version":"v0.1"},"interactive":false}"#);
    }

    #[test]
    fn a_signed_id_wins_over_what_the_key_tells() {
        let template = ("PATH_TEMPLATE", "{collection}/{item}/{asset}.{ext}");
        let own = Read { key: "c/i/a.tif".into(), item: Some("S2A".into()), asset: Some(" ".into()), ..read() };
        let props = event(&[template], &own, None).props;
        let told = ["collection", "item", "asset"].map(|name| props.get(name).map(String::as_str));
        assert_eq!(told, [Some("c"), Some("S2A"), Some("a")]);
    }

    #[test]
    fn keys_are_percent_encoded() {
        assert_eq!(url("d.example", "a b/ü%?#&+~_-.x"), "https://d.example/downloads/a%20b/%C3%BC%25%3F%23%26%2B~_-.x");
        // What looks encoded is part of the key, and comes back as it was.
        assert_eq!(url("d.example", "a%2Fb%"), "https://d.example/downloads/a%252Fb%25");
        // Dots and empty parts are the key's own; the server keeps paths as they come.
        assert_eq!(url("d.example", "/a/../b//.c/"), "https://d.example/downloads//a/../b//.c/");
        assert_eq!(url("d.example", "a\r\n\0\u{202e}"), "https://d.example/downloads/a%0D%0A%00%E2%80%AE");
    }

    #[test]
    fn what_is_too_long_is_cut_and_marked() {
        assert_eq!(cut("äöü", 6), "äöü");
        assert_eq!(cut("äöüx", 6), "ä…");
        assert_eq!(first_chars(&"ä".repeat(120), 120), "ä".repeat(120));
        assert_eq!(first_chars(&"ä".repeat(121), 120), "ä".repeat(119) + "…");
        let long = url("d.example", &"ü".repeat(1000));
        assert!(long.len() > MAX_URL_BYTES - 6 && long.ends_with("%BC%E2%80%A6"), "{long}");
    }

    #[test]
    fn size_classes_have_no_gaps() {
        let classes =
            [0, 999_999, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000, u64::MAX].map(size_class);
        insta::assert_compact_debug_snapshot!(classes, @r#"["under 1 MB", "under 1 MB", "1-10 MB", "10-100 MB", "100 MB-1 GB", "1-10 GB", "over 10 GB", "over 10 GB"]"#);
    }

    static POLICY: LazyLock<AnalyticsPolicy> = LazyLock::new(|| {
        let config = config(&[("PLAUSIBLE_OTHER_PATHS", "send-without"), ("PATH_TEMPLATE", "{a}/{b}/{c};{all}")]);
        AnalyticsPolicy::new(config).unwrap()
    });

    proptest! {
        #[test]
        fn the_limits_hold_for_anything(
            key in "\\PC{0,1200}|[ -~]{0,1200}", user_agent in any::<String>(), item in any::<String>(), repeat in 1..50_usize,
            name in "\\PC{1,300}", bytes in any::<Option<u64>>(),
        ) {
            let read = Read { key, user_agent: Some(user_agent.repeat(repeat)), item: Some(item.repeat(repeat)), ..read() };
            let visit = POLICY.judge(&read, NOW.parse().unwrap()).unwrap();
            let config = AnalyticsConfig { event_name: name, ..POLICY.config.clone() };
            let event = PlausibleEvent::new(&config, &visit, bytes);
            prop_assert!(event.url.len() <= MAX_URL_BYTES && event.url.is_ascii());
            let path = event.url.strip_prefix("https://data.example/downloads/").unwrap();
            let told = percent_encoding::percent_decode_str(path).decode_utf8().unwrap();
            prop_assert!(told == read.key || told.strip_suffix(MARK).is_some_and(|start| read.key.starts_with(start)));
            prop_assert!(event.name.chars().count() <= MAX_NAME_CHARS);
            prop_assert!(event.props.len() <= MAX_PROPS);
            for (name, value) in &event.props {
                prop_assert!(name.len() <= MAX_PROP_NAME_BYTES && value.len() <= MAX_PROP_VALUE_BYTES);
                prop_assert!(!value.trim().is_empty() && !value.contains(char::is_control));
            }
        }

        #[test]
        fn no_more_props_than_the_server_keeps(count in 0..60_usize, len in 0..700_usize) {
            let pairs: Vec<_> = (0..count).map(|number| (format!("{number}{}", "é".repeat(len)), "x".repeat(len * 4 + 1))).collect();
            let props = props(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            prop_assert_eq!(props.len(), count.min(MAX_PROPS));
            prop_assert!(props.iter().all(|(name, value)| name.len() <= MAX_PROP_NAME_BYTES && value.len() <= MAX_PROP_VALUE_BYTES));
        }
    }
}
