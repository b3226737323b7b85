//! Calls side by side, with a bound, timeouts, and backoff for what passes.

use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::delete_item::builders::DeleteItemFluentBuilder;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_smithy_runtime_api::http::Response;
use backon::{ExponentialBuilder, Retryable};
use tokio::task::JoinSet;

use super::item::Item;
use super::{STORE, error};
use crate::aws::{Asked, advice};
use crate::ledger::LedgerError;

const LATE: &str = "no answer in time";
const SIDE_BY_SIDE: usize = 32;
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
const ATTEMPTS: usize = 8;
/// All attempts of one key together.
const KEY_TIMEOUT: Duration = Duration::from_secs(15);

const ITEM: Asked<'_> = Asked {
    service: "DynamoDB",
    permission: "dynamodb:GetItem, dynamodb:PutItem and dynamodb:DeleteItem",
    of: "the table of LEDGER_URL",
    missing: "LEDGER_URL: no such table in the function's region",
    region_variable: None,
};

#[derive(Debug)]
pub(super) struct Calls {
    pub(super) client: Client,
    pub(super) table: String,
}

/// What became of a conditional write.
#[derive(Debug)]
pub(super) enum Put {
    Done,
    /// The condition failed on this item.
    Refused(Item),
}

impl Calls {
    pub(super) fn new(client: &Client, table: &str) -> Self {
        // One policy of retries is enough, and the client's own would stop when all keys of a batch are throttled at once.
        // The limits of a connection stay those of every client, so that they share one.
        let limits = client.config().timeout_config().cloned().unwrap_or_else(TimeoutConfig::disabled);
        let config = client
            .config()
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .timeout_config(limits.into_builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build())
            .build();
        Self { client: Client::from_conf(config), table: table.to_owned() }
    }

    pub(super) async fn put_each(requests: Vec<PutItemFluentBuilder>) -> Result<Vec<Put>, LedgerError> {
        let calls = requests.into_iter().map(|request| async move {
            match persistently(|| request.clone().send()).await {
                Ok(_) => Ok(Put::Done),
                Err(failure) => refusal(failure),
            }
        });
        side_by_side(calls).await
    }

    pub(super) async fn delete_each(requests: Vec<DeleteItemFluentBuilder>) -> Result<(), LedgerError> {
        let calls = requests.into_iter().map(|request| async move {
            match persistently(|| request.clone().send()).await {
                Ok(_) => Ok(()),
                Err(failure) if is_condition(&failure) => Ok(()),
                Err(failure) => Err(failure.into_ledger()),
            }
        });
        side_by_side(calls).await.map(drop)
    }
}

/// A failed call, or one whose attempts took too long.
pub(super) enum Failure<E> {
    Call(Box<SdkError<E, Response>>),
    Late,
}

impl<E: ProvideErrorMetadata> Failure<E> {
    /// The failure by the service's code, without its words: they name accounts and roles.
    pub(super) fn into_ledger(self) -> LedgerError {
        let Self::Call(call) = self else { return LedgerError { away: true, ..error(LATE) } };
        LedgerError { store: STORE, reason: advice(&call, &ITEM), away: passes(&call) }
    }
}

/// Makes a call, again with backoff while the reason passes: throttling, the service's own failures, a broken connection.
pub(super) async fn persistently<T, E, F>(call: impl FnMut() -> F) -> Result<T, Failure<E>>
where
    E: ProvideErrorMetadata,
    F: Future<Output = Result<T, SdkError<E, Response>>>,
{
    let backoff = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(2))
        .with_max_times(ATTEMPTS - 1)
        .with_jitter();
    let tried = call.retry(backoff).sleep(tokio::time::sleep).when(passes);
    match tokio::time::timeout(KEY_TIMEOUT, tried).await {
        Ok(result) => result.map_err(|error| Failure::Call(Box::new(error))),
        Err(_) => Err(Failure::Late),
    }
}

fn passes<E: ProvideErrorMetadata>(failure: &SdkError<E, Response>) -> bool {
    match failure {
        SdkError::ServiceError(refused) => {
            let throttled = refused.err().code().is_some_and(|code| {
                matches!(
                    code,
                    "ProvisionedThroughputExceededException"
                        | "ThrottlingException"
                        | "RequestLimitExceeded"
                        | "LimitExceededException"
                        | "TransactionConflictException"
                )
            });
            throttled || refused.raw().status().is_server_error()
        }
        SdkError::DispatchFailure(cause) => cause.is_io() || cause.is_timeout(),
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::ConstructionFailure(_) | _ => false,
    }
}

fn refusal(failure: Failure<PutItemError>) -> Result<Put, LedgerError> {
    if let Failure::Call(call) = &failure
        && let Some(PutItemError::ConditionalCheckFailedException(refused)) = call.as_service_error()
    {
        return Ok(Put::Refused(refused.item().cloned().unwrap_or_default()));
    }
    Err(failure.into_ledger())
}

fn is_condition(failure: &Failure<DeleteItemError>) -> bool {
    let Failure::Call(call) = failure else { return false };
    call.as_service_error().is_some_and(DeleteItemError::is_conditional_check_failed_exception)
}

/// Runs calls with a bound, and answers in their order. The first that fails stops the rest.
async fn side_by_side<T: Send + 'static>(
    calls: impl Iterator<Item = impl Future<Output = Result<T, LedgerError>> + Send + 'static>,
) -> Result<Vec<T>, LedgerError> {
    let mut waiting = calls.enumerate();
    let mut running = JoinSet::new();
    let mut answers = Vec::new();
    loop {
        while running.len() < SIDE_BY_SIDE
            && let Some((index, call)) = waiting.next()
        {
            running.spawn(async move { (index, call.await) });
        }
        let Some(done) = running.join_next().await else { break };
        let (index, answer) = done.map_err(|_| error("a call was cut short"))?;
        answers.push((index, answer?));
    }
    answers.sort_unstable_by_key(|(index, _)| *index);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}
