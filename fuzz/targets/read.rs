//! See `audit_core::fuzz::read`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| audit_core::fuzz::read(bytes));
