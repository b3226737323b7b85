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
mod receiver;
mod upstream;
