//! See `audit_core::fuzz::log_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| audit_core::fuzz::log_file(bytes));
