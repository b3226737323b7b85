//! Under Lambda: behind a function URL it receives, triggered by its queue it delivers.

use std::sync::Arc;

use audit_core::clock::Clock;
use audit_core::config::{Config, Environment, Program};
use audit_core::logging;
use audit_core::pipeline::queue::{self, Queue, Received};
use audit_core::pipeline::receiver::{Durable, Receiver};
use audit_core::pipeline::{self, Pipeline, deadline};
use axum::Router;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::app::{App, Until, router};
use crate::function_url;
use crate::token::Door;

/// Serves invocations until the sandbox ends.
pub(crate) fn main() -> anyhow::Result<()> {
    logging::start(&Environment)?;
    let config = Config::read(&Environment, Program::ReceiverOnLambda)
        .inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    let function = Function { config, clock: Clock::system(), parts: OnceCell::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(service_fn(|event| function.handle(event)))).map_err(|error| anyhow::anyhow!(error))
}

struct Function {
    config: Config,
    clock: Clock,
    parts: OnceCell<Parts>,
}

/// What the first invocation sets up.
struct Parts {
    pipeline: Arc<Pipeline>,
    router: Router,
}

impl Function {
    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, Error> {
        let until = deadline(&self.clock, event.context.deadline(), &self.config)?;
        let parts = self.parts.get_or_try_init(|| self.open()).await?;
        let mut payload = event.payload;
        if function_url::is_request(&payload) {
            return Ok(self.receive(parts, &mut payload, until).await?);
        }
        match messages(&mut payload) {
            Some(messages) => Ok(self.deliver(parts, messages?, until).await),
            None => Err(format!(
                "unknown payload: expected a function URL request or SQS records, found {}",
                keys(&payload)
            )
            .into()),
        }
    }

    async fn open(&self) -> Result<Parts, Error> {
        let pipeline = Arc::new(Pipeline::open(&self.config, &self.clock, pipeline::Parts::default()).await?);
        let durable = match &self.config.receiver.queue_url {
            Some(url) => Durable::Queue(Queue::new(self.config.aws.sqs(), url.clone())),
            None => Durable::Delivery,
        };
        let app = App {
            door: Door::open(&self.config).await?,
            receiver: Receiver::new(Arc::clone(&pipeline), durable),
            max_body_bytes: self.config.receiver.max_body_bytes,
            metrics: None,
        };
        Ok(Parts { pipeline, router: router(Arc::new(app)) })
    }

    async fn receive(&self, parts: &Parts, payload: &mut Value, until: Instant) -> anyhow::Result<Value> {
        let mut request = function_url::request(payload)?;
        request.extensions_mut().insert(Until(until));
        let mut response = parts.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        if let Some(taken) = response.extensions_mut().remove::<crate::app::Taken>() {
            logging::run_finished(&taken.0, &self.clock);
        }
        Ok(function_url::response(response).await)
    }

    async fn deliver(&self, parts: &Parts, messages: Vec<Received>, until: Instant) -> Value {
        let run = queue::deliver(&parts.pipeline, messages, until).await;
        for trouble in &run.troubles {
            tracing::error!(trouble, "not all was delivered");
        }
        logging::run_finished(&run.tally, &self.clock);
        let failures: Vec<Value> = run.failed_messages.iter().map(|id| json!({ "itemIdentifier": id })).collect();
        json!({ "batchItemFailures": failures })
    }
}

/// The messages of an SQS event; `None` for any other payload.
fn messages(payload: &mut Value) -> Option<anyhow::Result<Vec<Received>>> {
    let records = payload.get_mut("Records")?.as_array_mut()?;
    let from_sqs = |record: &Value| record.get("eventSource").and_then(Value::as_str) == Some("aws:sqs");
    if records.is_empty() || !records.iter().all(from_sqs) {
        return None;
    }
    let text = |record: &mut Value, field: &str| match record.get_mut(field).map(Value::take) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(anyhow::anyhow!("SQS record: expected {field} as a string")),
    };
    let receipts = |record: &Value| record.pointer("/attributes/ApproximateReceiveCount")?.as_str()?.parse().ok();
    let received = |record: &mut Value| {
        let receipts = receipts(record).unwrap_or(0);
        Ok(Received { id: text(record, "messageId")?, receipts, body: text(record, "body")? })
    };
    Some(records.iter_mut().map(received).collect())
}

fn keys(payload: &Value) -> String {
    match payload.as_object() {
        Some(object) => format!("an object with the keys {:?}", object.keys().take(10).collect::<Vec<_>>()),
        None => "no object".to_owned(),
    }
}
