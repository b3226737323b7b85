//! The fault suite: entries go in, faults happen, faults end; then rows are counted against what went in. None may be
//! missing, and none there twice; what is in doubt must be in the held files.
//!
//! Each scenario prints `fault | NAME | sent | rows | lost | doubled | held`. Clocks that jump are tested in the library, whose
//! simulation sets the time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests, which fail by a panic"
)]

mod account;
mod entry;
mod load;
mod local;
mod mixed;
mod receiver;
mod source;
mod upstream;

/// The seed of a scenario, printed: `FAULT_SEED` where that is set, so that a run can be repeated.
#[allow(clippy::disallowed_methods, reason = "a switch of the tests, not the product's configuration")]
fn seed(scenario: &str) -> u64 {
    let seed = std::env::var("FAULT_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().expect("FAULT_SEED"));
    account::say(&format!("seed | {scenario} | FAULT_SEED={seed}"));
    seed
}
