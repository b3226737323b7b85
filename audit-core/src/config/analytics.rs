//! The variables of the analytics sink.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::read::{Reader, Strings};
use super::{ConfigError, values};
use crate::analytics::glob::Patterns;
use crate::analytics::path::PathTemplates;
use crate::ledger::Terms;

/// What is shown on the Plausible dashboard, and how.
#[derive(Debug, Clone)]
pub struct AnalyticsConfig {
    /// `PLAUSIBLE_API_URL`: base URL of the server, any path before `/api/event` included.
    pub api_url: String,
    /// `PLAUSIBLE_DATA_DOMAIN`: the one site that downloads are shown under.
    pub domain: String,
    /// `PLAUSIBLE_EVENT_NAME`.
    pub event_name: String,
    /// `PLAUSIBLE_INCLUDE`: only these objects.
    pub include: Option<Patterns>,
    /// `PLAUSIBLE_EXCLUDE`: not these objects.
    pub exclude: Option<Patterns>,
    /// `PLAUSIBLE_EXCLUDE_ACCESS_KEYS`: nothing read with these.
    pub exclude_access_keys: Vec<String>,
    /// `PLAUSIBLE_MAX_AGE`: older reads are not sent, since an event always happens now.
    pub max_age: Duration,
    /// `PLAUSIBLE_WINDOW_SECONDS`: parts within this of the first are one download.
    pub window: Duration,
    /// `PATH_TEMPLATE`.
    pub path_templates: PathTemplates,
    /// `PLAUSIBLE_OTHER_PATHS`: what becomes of keys that no template fits.
    pub unmatched_paths: Otherwise,
    /// `PLAUSIBLE_OTHER_ADDRESSES`: what becomes of reads by clients without a public IP address.
    pub unknown_addresses: Otherwise,
    /// `PLAUSIBLE_ADDRESS_HEADER`.
    pub address_header: AddressHeader,
    /// `PLAUSIBLE_USER_AGENT`.
    pub user_agents: UserAgentPolicy,
    /// `PLAUSIBLE_INTERACTIVE`: whether an event ends a bounce; `None` leaves it to the server (it does).
    pub interactive: Option<bool>,
    /// `PLAUSIBLE_CONCURRENCY`: visitors whose events are sent side by side.
    pub concurrency: NonZeroUsize,
}

/// What becomes of a read that lacks something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Otherwise {
    /// It is left out, and counted.
    #[default]
    Skip,
    /// Its event is sent without it.
    SendWithout,
}

/// The header that carries the visitor's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressHeader {
    /// `X-Forwarded-For`.
    #[default]
    ForwardedFor,
    /// `X-Plausible-IP`, which proxies in between do not add to.
    PlausibleIp,
}

impl AddressHeader {
    /// Its name, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ForwardedFor => "x-forwarded-for",
            Self::PlausibleIp => "x-plausible-ip",
        }
    }
}

/// Which User-Agent is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UserAgentPolicy {
    /// The client's own.
    #[default]
    Raw,
    /// One made from the client's name and version, that is not taken for a bot's.
    Neutral,
}

impl AnalyticsConfig {
    /// How long its ledger must remember, where it has one of its own: until the last part of a download is too old to be sent.
    #[must_use]
    pub fn terms(&self, lease: Duration) -> Terms {
        Terms { lease, ttl: self.max_age.saturating_add(self.window.saturating_mul(2)).saturating_add(lease) }
    }
}

/// Reads only the variables of the analytics sink; `None` where it is off.
///
/// # Errors
/// [`ConfigError`] with every problem found.
pub fn read_analytics(strings: &impl Strings) -> Result<Option<AnalyticsConfig>, ConfigError> {
    let mut reader = Reader::new(strings);
    let config = analytics(&mut reader);
    reader.finish(config)
}

const WHY: &str = "a value, because the other of PLAUSIBLE_API_URL and PLAUSIBLE_DATA_DOMAIN is set";
const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);
const EIGHT: NonZeroUsize = NonZeroUsize::new(8).unwrap();

pub(super) fn analytics(reader: &mut Reader<'_, impl Strings>) -> Option<AnalyticsConfig> {
    let set = ["PLAUSIBLE_API_URL", "PLAUSIBLE_DATA_DOMAIN"].map(|variable| reader.text(variable).is_some());
    if set == [false; 2] {
        return None;
    }
    let own_keys = reader.text("PLAUSIBLE_EXCLUDE_ACCESS_KEYS").unwrap_or_default();
    Some(AnalyticsConfig {
        api_url: reader.parsed_or_required("PLAUSIBLE_API_URL", base_url, WHY).unwrap_or_default(),
        domain: reader.parsed_or_required("PLAUSIBLE_DATA_DOMAIN", domain, WHY).unwrap_or_default(),
        event_name: reader.parsed("PLAUSIBLE_EVENT_NAME", event_name).unwrap_or_else(|| "S3 Download".to_owned()),
        include: reader.parsed("PLAUSIBLE_INCLUDE", Patterns::parse),
        exclude: reader.parsed("PLAUSIBLE_EXCLUDE", Patterns::parse),
        exclude_access_keys: own_keys
            .split([',', ';', ' ', '\n'])
            .filter(|key| !key.is_empty())
            .map(Into::into)
            .collect(),
        max_age: reader.parsed("PLAUSIBLE_MAX_AGE", values::duration).unwrap_or(HOUR),
        window: reader.parsed("PLAUSIBLE_WINDOW_SECONDS", values::seconds).unwrap_or(MINUTE),
        path_templates: reader.parsed("PATH_TEMPLATE", PathTemplates::parse).unwrap_or_default(),
        unmatched_paths: reader.parsed("PLAUSIBLE_OTHER_PATHS", otherwise).unwrap_or_default(),
        unknown_addresses: reader.parsed("PLAUSIBLE_OTHER_ADDRESSES", otherwise).unwrap_or_default(),
        address_header: reader.parsed("PLAUSIBLE_ADDRESS_HEADER", address_header).unwrap_or_default(),
        user_agents: reader.parsed("PLAUSIBLE_USER_AGENT", user_agents).unwrap_or_default(),
        interactive: reader.parsed("PLAUSIBLE_INTERACTIVE", values::flag),
        concurrency: reader.parsed("PLAUSIBLE_CONCURRENCY", values::count).unwrap_or(EIGHT),
    })
}

fn base_url(text: &str) -> Result<String, &'static str> {
    let plain = !text.contains(['?', '#', '@']);
    if plain {
        values::http_url(text).map(|_| text.to_owned())
    } else {
        Err("an http:// or https:// URL without user, query and fragment")
    }
}

/// A list of sites would count every download once for each.
fn domain(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'/');
    let sound = text.len() <= 253 && text.bytes().all(plain) && !text.contains("//") && !text.starts_with('/');
    if sound { Ok(text.to_owned()) } else { Err("one site's domain as Plausible knows it, such as data.example.org") }
}

fn event_name(text: &str) -> Result<String, &'static str> {
    let sound = text.chars().count() <= crate::analytics::plausible_event::MAX_NAME_CHARS;
    if sound { Ok(text.to_owned()) } else { Err("a name of at most 120 characters") }
}

fn otherwise(text: &str) -> Result<Otherwise, &'static str> {
    match text {
        "skip" => Ok(Otherwise::Skip),
        "send-without" => Ok(Otherwise::SendWithout),
        _ => Err("skip or send-without"),
    }
}

fn address_header(text: &str) -> Result<AddressHeader, &'static str> {
    let known = [AddressHeader::ForwardedFor, AddressHeader::PlausibleIp];
    let found = known.into_iter().find(|header| header.name().eq_ignore_ascii_case(text));
    found.ok_or("X-Forwarded-For or X-Plausible-IP")
}

fn user_agents(text: &str) -> Result<UserAgentPolicy, &'static str> {
    match text {
        "raw" => Ok(UserAgentPolicy::Raw),
        "neutral" => Ok(UserAgentPolicy::Neutral),
        _ => Err("raw or neutral"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<AnalyticsConfig>, Vec<&'static str>> {
        let strings: HashMap<&str, &str> = variables.iter().copied().collect();
        read_analytics(&strings).map_err(|error| error.0.iter().map(|problem| problem.variable).collect())
    }

    const ON: [(&str, &str); 2] =
        [("PLAUSIBLE_API_URL", "http://plausible:8000"), ("PLAUSIBLE_DATA_DOMAIN", "data.example")];

    #[test]
    fn both_variables_turn_it_on_and_one_alone_is_a_mistake() {
        assert!(read(&[("PLAUSIBLE_EVENT_NAME", "x")]).unwrap().is_none());
        assert_eq!(read(&ON[..1]).unwrap_err(), ["PLAUSIBLE_DATA_DOMAIN"]);
        assert_eq!(read(&ON[1..]).unwrap_err(), ["PLAUSIBLE_API_URL"]);
        let config = read(&ON).unwrap().unwrap();
        assert_eq!((config.event_name.as_str(), config.max_age, config.window), ("S3 Download", HOUR, MINUTE));
        assert_eq!(config.terms(MINUTE).ttl, HOUR + 3 * MINUTE);
    }

    #[test]
    fn a_bad_value_names_its_variable() {
        let long = "x".repeat(121);
        for (variable, value) in [
            ("PLAUSIBLE_API_URL", "plausible:8000"),
            ("PLAUSIBLE_API_URL", "https://me:secret@plausible"),
            ("PLAUSIBLE_DATA_DOMAIN", "a.example,b.example"),
            ("PLAUSIBLE_DATA_DOMAIN", "https://a.example"),
            ("PLAUSIBLE_EVENT_NAME", &long),
            ("PLAUSIBLE_INCLUDE", "bucket"),
            ("PLAUSIBLE_EXCLUDE", "a/["),
            ("PLAUSIBLE_MAX_AGE", "soon"),
            ("PLAUSIBLE_WINDOW_SECONDS", "0"),
            ("PATH_TEMPLATE", "{a}{b}"),
            ("PLAUSIBLE_OTHER_PATHS", "send"),
            ("PLAUSIBLE_OTHER_ADDRESSES", "drop"),
            ("PLAUSIBLE_ADDRESS_HEADER", "Forwarded"),
            ("PLAUSIBLE_USER_AGENT", "none"),
            ("PLAUSIBLE_INTERACTIVE", "no"),
            ("PLAUSIBLE_CONCURRENCY", "0"),
        ] {
            let variables = [ON[0], ON[1], (variable, value)];
            assert_eq!(read(&variables).unwrap_err(), [variable], "{value}");
        }
    }
}
