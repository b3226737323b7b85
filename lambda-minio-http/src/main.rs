//! MinIO's audit webhook → metering records: a Lambda function behind a function URL, or a server beside MinIO.

mod app;
mod bodies;
mod function_url;
mod lambda;
mod listener;
mod metrics;
mod server;
mod token;

use audit_core::config::{Environment, Strings};

fn main() -> anyhow::Result<()> {
    if Environment.get("AWS_LAMBDA_RUNTIME_API").is_some() { lambda::main() } else { server::main() }
}
