//! One invocation: what it came to, in the words that its sender understands.

use std::sync::Arc;
use std::time::Duration;

use audit_core::clock::Clock;
use audit_core::config::Config;
use audit_core::emf;
use audit_core::logging;
use audit_core::pipeline::cloudtrail::{CloudTrail, Run};
use audit_core::pipeline::{Parts, Pipeline, StartError, deadline};
use audit_core::trigger::TriggerError;
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// Why an invocation failed, so that AWS tries it again.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: &'static str,
    message: String,
}

impl Failure {
    fn undelivered(troubles: &[String]) -> Self {
        Self { kind: "NotAllDelivered", message: troubles.join("; ") }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self { kind: "CannotStart", message: error.to_string() }
    }
}

impl From<TriggerError> for Failure {
    fn from(error: TriggerError) -> Self {
        Self { kind: "UnknownEvent", message: error.to_string() }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self { kind: "NoAnswer", message: error.to_string() }
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self { error_type: failure.kind.to_owned(), error_message: failure.message }
    }
}

/// The function of one sandbox. What needs the network is set up by the first invocation and kept.
pub(crate) struct Function {
    config: Config,
    clock: Clock,
    cloudtrail: OnceCell<Arc<CloudTrail>>,
}

impl Function {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, clock: Clock::system(), cloudtrail: OnceCell::new() }
    }

    pub(crate) async fn handle(&self, event: LambdaEvent<Box<serde_json::value::RawValue>>) -> Result<Value, Failure> {
        let (until, time_limit) = deadline(&self.clock, event.context.deadline(), &self.config)?;
        let cloudtrail = self.cloudtrail(time_limit).await?;
        let run = cloudtrail.run(event.payload.get().as_bytes(), &event.context.request_id, until).await?;
        for trouble in &run.troubles {
            tracing::error!(trouble, "not all was delivered");
        }
        logging::run_finished(&run.tally, &self.clock);
        if let Some(function) = &self.config.metrics_of {
            let (tally, requests) = (&run.tally, cloudtrail.pipeline().take_requests());
            let (at, oldest_sent_ms) = (self.clock.now(), run.oldest_sent_ms);
            logging::metrics(&emf::Run { function, at, tally, requests, oldest_sent_ms });
        }
        answer(&run)
    }

    /// Made by the first invocation, whose `time_limit` is that of all: the function's timeout does not change while it runs.
    async fn cloudtrail(&self, time_limit: Duration) -> Result<Arc<CloudTrail>, Failure> {
        let open = async || -> Result<_, Failure> {
            let pipeline = Pipeline::open(&self.config, &self.clock, Parts::of_function(time_limit)).await?;
            let s3 = self.config.aws.s3();
            Ok(Arc::new(CloudTrail::new(Arc::new(pipeline), s3, self.config.cloudtrail_bucket.clone())))
        };
        self.cloudtrail.get_or_try_init(open).await.cloned()
    }
}

/// SQS takes the list of messages that must come again; any other sender learns of a failure by an error alone.
fn answer(run: &Run) -> Result<Value, Failure> {
    if run.from_sqs && !run.unnamed_failure {
        let failures: Vec<Value> = run.failed_messages.iter().map(|id| json!({ "itemIdentifier": id })).collect();
        return Ok(json!({ "batchItemFailures": failures }));
    }
    if run.troubles.is_empty() {
        Ok(serde_json::to_value(run.answer())?)
    } else {
        Err(Failure::undelivered(&run.troubles))
    }
}
