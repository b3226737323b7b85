//! Lambda function: CloudTrail log files in S3 → metering records.

mod handler;

use audit_core::config::{Config, Environment, Program};
use audit_core::logging;
use lambda_runtime::{run, service_fn};

use handler::Function;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    logging::start(&Environment)?;
    let config =
        Config::read(&Environment, Program::CloudTrail).inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    let function = Function::new(config);
    run(service_fn(|event| function.handle(event))).await.map_err(|error| anyhow::anyhow!(error))
}
