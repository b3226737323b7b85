//! Whether what the programs need is there: each look says what it tried, what it found, and the remedy.
//!
//! Nothing is inserted, sent to be delivered, or left behind, except where a text says so.

mod bucket;
mod ledger;
mod place;
mod queue;

pub use crate::finding::Finding;
pub use bucket::bucket;
pub use ledger::ledger;
pub use place::{Use, place};
pub use queue::{QueueTerms, queue};

#[cfg(test)]
mod tests;
