//! Bytes → [`AccessEvent`](crate::event::AccessEvent): what each source writes, read without I/O of its own.

pub mod minio;
