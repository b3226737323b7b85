//! Turns storage audit trails into metering records and delivers each exactly once.
//!
//! Data moves one way: bytes → [`source`] → [`event`] → [`policy`] → [`record`] → sink. Sources never know sinks; parsing does
//! no I/O; only `pipeline` sees everything.

pub mod analytics;
pub mod aws;
pub mod causes;
pub mod check;
pub mod client;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod emf;
pub mod event;
pub mod finding;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod json;
pub mod ledger;
pub mod logging;
pub mod pipeline;
pub mod policy;
pub mod quarantine;
pub mod record;
pub mod redact;
pub mod seen;
pub mod sink;
pub mod source;
#[cfg(feature = "spool")]
pub mod spool;
pub mod store;
pub mod tally;
pub mod trigger;
