//! Holds the stand-ins to the contracts of what they stand for.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that can't go on fails")]

mod access;
mod execution;
mod faults;
mod plausible;
mod program;
mod support;
