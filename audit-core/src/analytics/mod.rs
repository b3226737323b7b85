//! Downloads as events on a Plausible dashboard: which reads count, what they tell, and which of them are one download.
//!
//! Pure functions; the sink asks the ledger and posts.

pub mod address;
pub mod glob;
pub mod path;
pub mod plausible_event;
mod policy;
mod read;
pub mod user_agent;
pub mod window;

pub use policy::{AnalyticsPolicy, Exclusion, PolicyError, Visit};
pub use read::Read;

#[cfg(test)]
pub(crate) mod samples;
