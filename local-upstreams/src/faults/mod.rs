//! Faults that tests switch on over HTTP: what goes wrong, for whom, and how often.

mod apply;
mod book;

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

pub(crate) use apply::faulty;
pub(crate) use book::Book;

/// Whose requests a fault befalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// `POST /auth/v1/token`
    Auth,
    /// `POST /processes/{id}/execution`
    Execution,
    /// `GET /jobs/{id}`
    Jobs,
    /// `POST /api/event`
    Event,
}

/// When a connection is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResetAt {
    /// As soon as the request's head was read.
    Before,
    /// When the request was read in full; it is not acted upon.
    AfterRequest,
    /// When the request was acted upon; the answer is never sent.
    AfterCommit,
}

/// What goes wrong with a request, how often, and for which requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the JSON a test writes by hand")]
pub(crate) struct Fault {
    pub(crate) target: Target,
    /// How often it happens; absent or null: for ever.
    #[serde(default)]
    pub(crate) times: Option<u64>,
    /// How many requests pass before it begins.
    #[serde(default)]
    pub(crate) after: u64,
    /// How likely it is for each request, 0 to 1.
    #[serde(default = "certain")]
    pub(crate) probability: f64,
    /// Makes the same requests fail in each run.
    #[serde(default)]
    pub(crate) seed: u64,

    /// Answered instead, without acting on the request unless `after_commit`.
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Option<String>,
    /// An HTML page as the body, as proxies send it.
    #[serde(default)]
    pub(crate) html: bool,
    /// Wait before acting on the request; with `after_commit`, before answering.
    pub(crate) delay_ms: Option<u64>,
    /// Act on the request first, whatever is answered then.
    #[serde(default)]
    pub(crate) after_commit: bool,
    pub(crate) reset: Option<ResetAt>,
    /// Never answer.
    #[serde(default)]
    pub(crate) hang: bool,
    /// Send the body one byte at a time with this pause before each.
    pub(crate) slow_drip_ms: Option<u64>,

    #[serde(default, flatten)]
    pub(crate) trouble: Trouble,
    /// With `entry_unreadable`: the process trips only over bodies with this text in them.
    pub(crate) containing: Option<String>,
}

/// Trouble inside the process: switches that only `execution` knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the JSON a test writes by hand")]
pub(crate) struct Trouble {
    /// The process can't be looked up.
    #[serde(default)]
    pub(crate) lookup_failed: bool,
    /// The job can't be made: nothing is inserted.
    #[serde(default)]
    pub(crate) job_not_made: bool,
    /// The insert fails and is rolled back.
    #[serde(default)]
    pub(crate) database_down: bool,
    /// The process trips over an entry.
    #[serde(default)]
    pub(crate) entry_unreadable: bool,
    /// The rows are in, but the job can't be kept up: it ends as FAILED.
    #[serde(default)]
    pub(crate) job_failed_after_commit: bool,
    /// The job runs for ever and inserts nothing; a synchronous request is never answered.
    #[serde(default)]
    pub(crate) job_stuck: bool,
}

const fn certain() -> f64 {
    1.0
}

impl Fault {
    /// Says what is wrong with a fault.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.probability) {
            return Err("probability: expected a number from 0 to 1".to_owned());
        }
        if self.status.is_some_and(|status| !(200..=599).contains(&status)) {
            return Err("status: expected 200 to 599".to_owned());
        }
        for (name, value) in &self.headers {
            HeaderName::try_from(name).map_err(|_| format!("headers: {name} is not a header name"))?;
            HeaderValue::try_from(value).map_err(|_| format!("headers: the value of {name} is not a header value"))?;
        }
        if self.trouble != Trouble::default() && self.target != Target::Execution {
            return Err("trouble of the process needs the target execution".to_owned());
        }
        if self.containing.is_some() && !self.trouble.entry_unreadable {
            return Err("containing: expected together with entry_unreadable".to_owned());
        }
        if !self.does_something() {
            return Err(
                "expected one of status, headers, body, html, delay_ms, reset, hang, slow_drip_ms, lookup_failed, \
                        job_not_made, database_down, entry_unreadable, job_failed_after_commit, job_stuck"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn does_something(&self) -> bool {
        self.answers()
            || self.delay_ms.is_some()
            || self.reset.is_some()
            || self.hang
            || self.slow_drip_ms.is_some()
            || self.trouble != Trouble::default()
    }

    /// The trouble that a request with this body gets.
    pub(crate) fn trouble_for(&self, body: &[u8]) -> Trouble {
        let contains = |text: &String| body.windows(text.len().max(1)).any(|part| part == text.as_bytes());
        let trips = self.trouble.entry_unreadable && self.containing.as_ref().is_none_or(contains);
        Trouble { entry_unreadable: trips, ..self.trouble }
    }

    /// Whether the answer is the fault's own.
    fn answers(&self) -> bool {
        self.status.is_some() || self.body.is_some() || self.html || !self.headers.is_empty()
    }

    /// Whether the stand-in acts on the request at all.
    fn acts(&self) -> bool {
        match self.reset {
            Some(ResetAt::AfterCommit) => true,
            Some(ResetAt::Before | ResetAt::AfterRequest) => false,
            None => self.waits_for_commit() || !(self.hang || self.answers()),
        }
    }

    /// Whether an asynchronous job must have ended before the fault goes on.
    pub(crate) fn waits_for_commit(&self) -> bool {
        self.after_commit || self.reset == Some(ResetAt::AfterCommit)
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms.unwrap_or(0))
    }

    fn status(&self) -> StatusCode {
        self.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_trips_over_the_entries_it_was_told_to() {
        let json = r#"{"target":"execution","entry_unreadable":true,"containing":"bad"}"#;
        let fault: Fault = serde_json::from_str(json).unwrap();
        assert!(fault.trouble_for(b"good|bad|good").entry_unreadable);
        assert!(!fault.trouble_for(b"good|ba").entry_unreadable);
        let fault: Fault = serde_json::from_str(r#"{"target":"execution","entry_unreadable":true}"#).unwrap();
        assert!(fault.trouble_for(b"good").entry_unreadable);
    }

    #[test]
    fn a_fault_that_makes_no_sense_is_refused_with_a_reason() {
        for (json, reason) in [
            (r#"{"target":"jobs","status":99}"#, "status"),
            (r#"{"target":"jobs","probability":1.5,"hang":true}"#, "probability"),
            (r#"{"target":"jobs","headers":{"a b":"c"}}"#, "a b"),
            (r#"{"target":"event","job_stuck":true}"#, "execution"),
            (r#"{"target":"event","times":3}"#, "expected one of"),
            (r#"{"target":"execution","job_stuck":true,"containing":"x"}"#, "containing"),
        ] {
            let fault: Fault = serde_json::from_str(json).unwrap();
            assert!(fault.check().unwrap_err().contains(reason), "{json}");
        }
    }
}
