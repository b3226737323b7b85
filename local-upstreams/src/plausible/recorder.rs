//! What was recorded and what was dropped, for tests to look at.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::event::Event;
use super::visitor::{country, is_bot};

/// How the sites behave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Sites that exist.
    pub(crate) sites: Vec<String>,
    /// How long after these settings the sites are not known yet, as after a site was made.
    #[serde(default)]
    pub(crate) known_after_ms: u64,
    /// How long an event holds its visitor's session; another one that comes meanwhile is dropped. 0: no lock.
    #[serde(default)]
    pub(crate) session_lock_ms: u64,
    #[serde(default)]
    pub(crate) blocked_ips: Vec<String>,
}

/// An event at one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Recorded {
    domain: String,
    name: String,
    url: String,
    props: BTreeMap<String, String>,
    referrer: Option<String>,
    interactive: bool,
    ip: String,
    country: Option<&'static str>,
    user_agent: String,
    /// Why it was dropped; Plausible never tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// Every event since the last reset.
pub(crate) struct Recorder(Mutex<State>);

struct State {
    settings: Settings,
    set_at: Instant,
    recorded: Vec<Recorded>,
    dropped: Vec<Recorded>,
    locked: HashSet<(String, String)>,
}

impl Recorder {
    pub(crate) fn new(sites: Vec<String>) -> Self {
        let settings = Settings { sites, known_after_ms: 0, session_lock_ms: 0, blocked_ips: Vec::new() };
        let state = State {
            settings,
            set_at: Instant::now(),
            recorded: Vec::new(),
            dropped: Vec::new(),
            locked: HashSet::new(),
        };
        Self(Mutex::new(state))
    }

    pub(crate) fn set(&self, settings: Settings) {
        let mut state = self.state();
        state.settings = settings;
        state.set_at = Instant::now();
    }

    /// Forgets all events, and goes back to these sites without any drops.
    pub(crate) fn reset(&self, sites: Vec<String>) {
        *self.state() = Self::new(sites).0.into_inner().unwrap_or_else(PoisonError::into_inner);
    }

    /// Takes an event to each of its sites; how many dropped it.
    pub(super) async fn take(&self, event: &Event, ip: &str, user_agent: &str) -> usize {
        let visitor = (ip.to_owned(), user_agent.to_owned());
        let lock = Duration::from_millis(self.state().settings.session_lock_ms);
        let busy = !lock.is_zero() && !self.state().locked.insert(visitor.clone());
        let mut dropped = 0;
        for domain in &event.domains {
            let reason = if busy { Some("session lock") } else { self.state().drop_reason(domain, ip, user_agent) };
            dropped += usize::from(reason.is_some());
            self.state().keep(event, domain, ip, user_agent, reason);
        }
        if !lock.is_zero() && !busy {
            tokio::time::sleep(lock).await;
            self.state().locked.remove(&visitor);
        }
        dropped
    }

    /// All events, and how many were recorded by name, method and region.
    pub(crate) fn show(&self) -> Value {
        let state = self.state();
        let by = |key: &dyn Fn(&Recorded) -> Option<String>| {
            let mut counts = BTreeMap::<String, u64>::new();
            for key in state.recorded.iter().filter_map(key) {
                *counts.entry(key).or_default() += 1;
            }
            counts
        };
        json!({
            "counts": { "recorded": state.recorded.len(), "dropped": state.dropped.len() },
            "by_name": by(&|event| Some(event.name.clone())),
            "by_method": by(&|event| event.props.get("method").cloned()),
            "by_region": by(&|event| event.props.get("region").cloned()),
            "recorded": state.recorded,
            "dropped": state.dropped,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn drop_reason(&self, domain: &str, ip: &str, user_agent: &str) -> Option<&'static str> {
        let warm = self.set_at.elapsed() >= Duration::from_millis(self.settings.known_after_ms);
        if !warm || !self.settings.sites.iter().any(|site| site == domain) {
            return Some("unknown site");
        }
        if self.settings.blocked_ips.iter().any(|blocked| blocked == ip) {
            return Some("blocked ip");
        }
        is_bot(user_agent).then_some("bot")
    }

    fn keep(&mut self, event: &Event, domain: &str, ip: &str, user_agent: &str, reason: Option<&'static str>) {
        let recorded = Recorded {
            domain: domain.to_owned(),
            name: event.name.clone(),
            url: event.url.clone(),
            props: event.props.clone(),
            referrer: event.referrer.clone(),
            interactive: event.interactive,
            ip: ip.to_owned(),
            country: country(ip),
            user_agent: user_agent.to_owned(),
            reason,
        };
        if reason.is_some() { self.dropped.push(recorded) } else { self.recorded.push(recorded) }
    }
}
