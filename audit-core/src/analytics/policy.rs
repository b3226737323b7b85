//! Which reads become events, and whose they are.

use std::net::IpAddr;

use jiff::Timestamp;

use super::user_agent::{Class, Client, TableError, UserAgents, stripped};
use super::{Read, address};
use crate::config::{AnalyticsConfig, Otherwise, UserAgentPolicy};
use crate::record::Key;

/// The rules by which reads become events.
#[derive(Debug)]
pub struct AnalyticsPolicy {
    /// What the operator decided.
    pub config: AnalyticsConfig,
    user_agents: UserAgents,
}

/// The rules cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("analytics: {0}")]
pub struct PolicyError(#[from] TableError);

/// Why a read is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusion {
    /// `PLAUSIBLE_INCLUDE` does not name it, or `PLAUSIBLE_EXCLUDE` does.
    Pattern,
    /// Read with one of `PLAUSIBLE_EXCLUDE_ACCESS_KEYS`.
    OwnAccessKey,
    /// Read by `s3audit` itself.
    OwnProgram,
    /// No template fits the key.
    Path,
    /// The client has no public IP address.
    Address,
}

/// A read that is an event, or part of one.
#[derive(Clone, PartialEq, Eq)]
pub struct Visit<'r> {
    /// The read.
    pub read: &'r Read,
    /// The client's public IP address.
    pub address: Option<IpAddr>,
    /// The User-Agent without brackets; empty where there was none.
    pub user_agent: &'r str,
    /// What the User-Agent tells.
    pub client: Client<'r>,
    /// What the key tells.
    pub path: Vec<(String, String)>,
    /// When; for a record without a usable time, when it was judged.
    pub at: Timestamp,
    /// Whether `at` is the record's.
    pub timed: bool,
}

impl AnalyticsPolicy {
    /// The rules of `config`, with the User-Agent table that was compiled in.
    ///
    /// # Errors
    /// Where that table was replaced by one with a mistake.
    pub fn new(config: AnalyticsConfig) -> Result<Self, PolicyError> {
        Ok(Self { config, user_agents: UserAgents::built_in()? })
    }

    /// Judges `read` at the time `now`.
    ///
    /// # Errors
    /// The [`Exclusion`] where it is no event.
    pub fn judge<'r>(&self, read: &'r Read, now: Timestamp) -> Result<Visit<'r>, Exclusion> {
        let config = &self.config;
        let matches = |patterns: &super::glob::Patterns| patterns.matches(&read.bucket, &read.key);
        if config.include.as_ref().is_some_and(|patterns| !matches(patterns))
            || config.exclude.as_ref().is_some_and(matches)
        {
            return Err(Exclusion::Pattern);
        }
        if read.access_key.as_ref().is_some_and(|own| config.exclude_access_keys.contains(own)) {
            return Err(Exclusion::OwnAccessKey);
        }
        let user_agent = stripped(read.user_agent.as_deref().unwrap_or_default());
        if user_agent.starts_with(OWN_PROGRAM) {
            return Err(Exclusion::OwnProgram);
        }
        let path = match (config.path_templates.props(&read.key), config.unmatched_paths) {
            (Some(props), _) => props,
            (None, Otherwise::SendWithout) => Vec::new(),
            (None, Otherwise::Skip) => return Err(Exclusion::Path),
        };
        let address = read.client_address.as_deref().and_then(address::public);
        if address.is_none() && config.unknown_addresses == Otherwise::Skip {
            return Err(Exclusion::Address);
        }
        let time = read.timestamp();
        Ok(Visit {
            read,
            address,
            user_agent,
            client: self.user_agents.classify(user_agent),
            path,
            at: time.unwrap_or(now),
            timed: time.is_some(),
        })
    }

    /// The User-Agent to send for `visit`.
    ///
    /// The neutral one is made from names and versions in our own table, so it has no word in it by which the server takes
    /// a client for a bot (`app/my-research` is enough). Browsers keep theirs: the dashboard's devices come from it.
    #[must_use]
    pub fn user_agent(&self, visit: &Visit<'_>) -> String {
        let client = visit.client;
        match (self.config.user_agents, client.class) {
            (UserAgentPolicy::Raw, _) | (UserAgentPolicy::Neutral, Class::Browser) => header_text(visit.user_agent),
            (UserAgentPolicy::Neutral, Class::Crawler) => NEUTRAL.to_owned(),
            (UserAgentPolicy::Neutral, _) => {
                let name = client.name.map_or(NEUTRAL.to_owned(), |name| name.to_lowercase().replace(' ', "-"));
                client.version.map_or(name.clone(), |version| format!("{name}/{version}"))
            }
        }
    }
}

impl Visit<'_> {
    /// The same for all parts of any download of this object by this visitor.
    #[must_use]
    pub fn download(&self) -> Key {
        let read = self.read;
        // Where the address is no public one, its text still tells visitors apart.
        let who = self.address.map_or(read.client_address.clone().unwrap_or_default(), |address| address.to_string());
        let text =
            [read.bucket.as_str(), &read.key, &who, self.user_agent].map(|field| format!("{}:{field}", field.len()));
        Key::new("analytics", read.backend, &text.concat())
    }
}

impl std::fmt::Debug for Visit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visit").field("read", &self.read).field("class", &self.client.class).finish_non_exhaustive()
    }
}

/// How the User-Agent of `s3audit` begins: it reads objects to try a set-up, and nobody downloads then.
const OWN_PROGRAM: &str = "s3audit/";
const NEUTRAL: &str = "s3-client";
const HEADER_BYTES: usize = 1000;

/// What may stand in a header: one line of bounded length.
fn header_text(text: &str) -> String {
    let end = (0..=text.len().min(HEADER_BYTES)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
    let text = text.get(..end).unwrap_or_default();
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{NOW, config, policy, read};
    use super::*;

    fn exclusion(variables: &[(&str, &str)], change: impl FnOnce(&mut Read)) -> Option<Exclusion> {
        let policy = AnalyticsPolicy::new(config(variables)).unwrap();
        let mut read = read();
        change(&mut read);
        policy.judge(&read, NOW.parse().unwrap()).err()
    }

    #[test]
    fn what_the_operator_leaves_out_is_no_event() {
        assert_eq!(exclusion(&[], |_| {}), None);
        assert_eq!(exclusion(&[("PLAUSIBLE_INCLUDE", "other/**")], |_| {}), Some(Exclusion::Pattern));
        assert_eq!(exclusion(&[("PLAUSIBLE_INCLUDE", "other/**;data/**")], |_| {}), None);
        assert_eq!(exclusion(&[("PLAUSIBLE_EXCLUDE", "*/**/*.parquet")], |_| {}), Some(Exclusion::Pattern));
        let own = ("PLAUSIBLE_EXCLUDE_ACCESS_KEYS", "svc-a, svc-b");
        assert_eq!(exclusion(&[own], |read| read.access_key = Some("svc-b".into())), Some(Exclusion::OwnAccessKey));
        assert_eq!(exclusion(&[own], |read| read.access_key = Some("svc".into())), None);
    }

    #[test]
    fn what_s3audit_reads_itself_is_no_event() {
        let by = |user_agent: &str| exclusion(&[], |read| read.user_agent = Some(user_agent.into()));
        assert_eq!(by("s3audit/0.1.0"), Some(Exclusion::OwnProgram));
        assert_eq!(by("[s3audit/0.1.0 (check)]"), Some(Exclusion::OwnProgram));
        assert_eq!(by("not-s3audit/1"), None);
        assert_eq!(by("s3auditor/1"), None);
    }

    #[test]
    fn other_paths_and_addresses_are_skipped_unless_set_otherwise() {
        assert_eq!(exclusion(&[], |read| read.key = "a/b".into()), Some(Exclusion::Path));
        assert_eq!(exclusion(&[("PLAUSIBLE_OTHER_PATHS", "send-without")], |read| read.key = "a/b".into()), None);
        for address in [None, Some("AWS Internal"), Some("10.0.0.1")] {
            let change = |read: &mut Read| read.client_address = address.map(Into::into);
            assert_eq!(exclusion(&[], change), Some(Exclusion::Address));
            assert_eq!(exclusion(&[("PLAUSIBLE_OTHER_ADDRESSES", "send-without")], change), None);
        }
    }

    #[test]
    fn a_neutral_user_agent_has_only_known_words() {
        let policy = AnalyticsPolicy::new(config(&[("PLAUSIBLE_USER_AGENT", "neutral")])).unwrap();
        let sent = |user_agent: &str| {
            let read = Read { user_agent: Some(user_agent.into()), ..read() };
            policy.user_agent(&policy.judge(&read, NOW.parse().unwrap()).unwrap())
        };
        assert_eq!(sent("Boto3/1.35.2 md/Botocore#1.35.2 app/my-research"), "boto3/1.35.2");
        assert_eq!(sent("an-archive/3"), "s3-client");
        assert_eq!(sent("CCBot/2.0"), "s3-client");
        assert_eq!(sent("[Mozilla/5.0 (X11) Firefox/133.0]"), "Mozilla/5.0 (X11) Firefox/133.0");
    }

    #[test]
    fn downloads_differ_by_visitor_client_and_object() {
        let policy = policy();
        let now = NOW.parse().unwrap();
        let key = |change: fn(&mut Read)| {
            let mut read = read();
            change(&mut read);
            policy.judge(&read, now).unwrap().download()
        };
        let own = key(|_| {});
        let same: [fn(&mut Read); 3] = [
            |read| read.time = None,
            |read| read.client_address = Some("[::ffff:203.0.113.7]".into()),
            |read| read.user_agent = read.user_agent.as_ref().map(|text| format!("[{text}]")),
        ];
        let other: [fn(&mut Read); 5] = [
            |read| read.client_address = Some("203.0.113.8".into()),
            |read| read.user_agent = Some("curl/8".into()),
            |read| read.user_agent = None,
            |read| read.bucket = "data2".into(),
            |read| read.key.push('x'),
        ];
        assert!(same.into_iter().all(|change| key(change) == own));
        assert!(other.into_iter().all(|change| key(change) != own));
    }

    proptest! {
        #[test]
        fn any_user_agent_fits_a_header(text in any::<String>(), long in 0..3_usize) {
            let text = header_text(&text.repeat(1 + long * 400));
            prop_assert!(text.len() <= HEADER_BYTES);
            prop_assert!(http::HeaderValue::from_bytes(text.as_bytes()).is_ok());
        }
    }
}
