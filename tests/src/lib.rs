//! Support for the end-to-end tests: the parts around the product, each started and stopped by the test that needs it.
//!
//! Everything listens on a free port of the loopback interface, keeps its files in a temporary directory, and is gone when
//! its value is dropped, when a test panics and when the test process is killed. What has to be installed is
//! installed by `scripts/tools.sh`.

pub mod authority;
pub mod aws;
pub mod event_source;
pub mod fake_aws;
pub mod fixture;
pub mod function;
pub mod function_url;
pub mod held_open;
pub mod http_client;
pub mod metering;
pub mod minio;
pub mod minio_webhooks;
pub mod moto;
pub mod port;
pub mod postgres;
pub mod presign;
pub mod process;
mod reaper;
pub mod receiver;
pub mod recording;
pub mod redis;
pub mod runtime_api;
pub mod tools;
pub mod upstreams;

pub use event_source::EventSource;
pub use fake_aws::FakeAws;
pub use fixture::Get;
pub use function::{Function, FunctionSpec};
pub use function_url::{UrlRequest, UrlResponse};
pub use held_open::HeldOpen;
pub use metering::Metering;
pub use minio::Minio;
pub use minio_webhooks::AuditWebhook;
pub use moto::Moto;
pub use port::free_port;
pub use postgres::{Database, Postgres};
pub use presign::Link;
pub use process::Process;
pub use receiver::Receiver;
pub use redis::Redis;
pub use runtime_api::{FunctionError, RuntimeApi};
pub use tools::{binary, tool};
pub use upstreams::Upstreams;
