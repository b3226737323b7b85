//! See `audit_core::fuzz::minio_body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| audit_core::fuzz::minio_body(bytes));
