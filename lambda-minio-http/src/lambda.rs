//! Under Lambda: behind a function URL it receives, triggered by its queue it delivers.

use std::sync::Arc;
use std::time::Duration;

use audit_core::clock::Clock;
use audit_core::config::{Config, Environment, Program};
use audit_core::pipeline::queue::{self, Queue, Received};
use audit_core::pipeline::receiver::{Durable, Receiver};
use audit_core::pipeline::{Parts, Pipeline, deadline};
use audit_core::tally::Tally;
use audit_core::{emf, logging};
use axum::Router;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::app::{App, Until, router};
use crate::bodies::Bodies;
use crate::function_url;
use crate::token::Door;

/// Serves invocations until the sandbox ends.
pub(crate) fn main() -> anyhow::Result<()> {
    logging::start(&Environment)?;
    let config = Config::read(&Environment, Program::ReceiverOnLambda)
        .inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    let function = Function { config, clock: Clock::system(), receiving: OnceCell::new(), delivering: OnceCell::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(service_fn(|event| function.handle(event)))).map_err(|error| anyhow::anyhow!(error))
}

/// The function of one sandbox. What each way in needs is set up when it is first used, and kept.
struct Function {
    config: Config,
    clock: Clock,
    receiving: OnceCell<Router>,
    delivering: OnceCell<Arc<Pipeline>>,
}

impl Function {
    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, Error> {
        // The runtime writes an error into the log in its form for programmers, which of a text is the text.
        self.invoke(event).await.map_err(|error| error.to_string().into())
    }

    async fn invoke(&self, event: LambdaEvent<Value>) -> Result<Value, Error> {
        let (until, time_limit) = deadline(&self.clock, event.context.deadline(), &self.config)?;
        let mut payload = event.payload;
        if function_url::is_request(&payload) {
            return self.receive(&mut payload, until, time_limit).await;
        }
        match messages(&mut payload) {
            Some(messages) => self.deliver(messages?, until, time_limit).await,
            None => Err(format!(
                "unknown payload: expected a function URL request or SQS records, found {}",
                keys(&payload)
            )
            .into()),
        }
    }

    /// For the first invocation, whose `time_limit` is that of all: the function's timeout does not change while it runs.
    async fn delivering(&self, time_limit: Duration) -> Result<Arc<Pipeline>, Error> {
        let open = async || -> Result<_, Error> {
            Ok(Arc::new(Pipeline::open(&self.config, &self.clock, Parts::of_function(time_limit)).await?))
        };
        self.delivering.get_or_try_init(open).await.cloned()
    }

    async fn receiving(&self, time_limit: Duration) -> Result<Router, Error> {
        let open = async || -> Result<_, Error> {
            let (pipeline, durable) = match &self.config.receiver.queue_url {
                Some(url) => {
                    let queue = Queue::new(self.config.aws.sqs(), url.clone());
                    (Arc::new(Pipeline::before_queue(&self.config, &self.clock)?), Durable::Queue(queue))
                }
                None => (self.delivering(time_limit).await?, Durable::Delivery),
            };
            let app = App {
                door: Door::open(&self.config).await?,
                receiver: Receiver::new(pipeline, durable),
                bodies: Bodies::of(self.config.receiver.max_body_bytes),
                metrics: None,
            };
            Ok(router(Arc::new(app)))
        };
        self.receiving.get_or_try_init(open).await.cloned()
    }

    async fn receive(&self, payload: &mut Value, until: Instant, time_limit: Duration) -> Result<Value, Error> {
        let router = self.receiving(time_limit).await?;
        let mut request = function_url::request(payload)?;
        request.extensions_mut().insert(Until(until));
        let mut response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
        if let Some(taken) = response.extensions_mut().remove::<crate::app::Taken>() {
            self.finish(&taken.0, None);
        }
        Ok(function_url::response(response).await)
    }

    async fn deliver(&self, messages: Vec<Received>, until: Instant, time_limit: Duration) -> Result<Value, Error> {
        let pipeline = self.delivering(time_limit).await?;
        let run = queue::deliver(&pipeline, messages, until).await;
        for trouble in &run.troubles {
            tracing::error!(trouble, "not all was delivered");
        }
        self.finish(&run.tally, run.oldest_sent_ms);
        let failures: Vec<Value> = run.failed_messages.iter().map(|id| json!({ "itemIdentifier": id })).collect();
        Ok(json!({ "batchItemFailures": failures }))
    }

    /// Tells what a run came to, in the log and as metrics.
    fn finish(&self, tally: &Tally, oldest_sent_ms: Option<i64>) {
        logging::run_finished(tally, &self.clock);
        if let Some(function) = &self.config.metrics_of {
            let requests = self.delivering.get().map(|pipeline| pipeline.take_requests()).unwrap_or_default();
            logging::metrics(&emf::Run { function, at: self.clock.now(), tally, requests, oldest_sent_ms });
        }
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
    let attribute = |record: &Value, name: &str| record.get("attributes")?.get(name)?.as_str()?.parse::<i64>().ok();
    let received = |record: &mut Value| {
        let receipts =
            attribute(record, "ApproximateReceiveCount").and_then(|count| count.try_into().ok()).unwrap_or(0);
        let sent_ms = attribute(record, "SentTimestamp");
        Ok(Received { id: text(record, "messageId")?, receipts, sent_ms, body: text(record, "body")? })
    };
    Some(records.iter_mut().map(received).collect())
}

fn keys(payload: &Value) -> String {
    match payload.as_object() {
        Some(object) => format!("an object with the keys {:?}", object.keys().take(10).collect::<Vec<_>>()),
        None => "no object".to_owned(),
    }
}
