//! One connection that all batches share, made anew after it broke.

use std::future::Future;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, RedisResult, ScriptInvocation};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::STORE;
use crate::ledger::LedgerError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Connection {
    client: Client,
    current: Mutex<Option<MultiplexedConnection>>,
}

/// What is sent. No closure: with one, the compiler cannot tell that the future may change threads.
enum Request<'a> {
    Command(&'a Cmd),
    Script(&'a ScriptInvocation<'a>),
}

impl Request<'_> {
    async fn send<T: FromRedisValue>(&self, connection: &mut MultiplexedConnection) -> RedisResult<T> {
        match self {
            Self::Command(command) => command.query_async(connection).await,
            Self::Script(call) => call.invoke_async(connection).await,
        }
    }
}

impl Connection {
    pub(super) fn new(url: &SecretString) -> Result<Self, LedgerError> {
        let client = Client::open(url.expose_secret()).map_err(|error| ledger_error(&error))?;
        Ok(Self { client, current: Mutex::default() })
    }

    pub(super) async fn command<T: FromRedisValue>(&self, command: Cmd) -> Result<T, LedgerError> {
        self.run(Request::Command(&command)).await
    }

    pub(super) async fn script<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, LedgerError> {
        self.run(Request::Script(call)).await
    }

    /// Sends `request`, once more if the connection proved to be dead: every step of the ledger may be repeated by its owner.
    async fn run<T: FromRedisValue>(&self, request: Request<'_>) -> Result<T, LedgerError> {
        let (mut connection, fresh) = self.connect().await.map_err(|error| ledger_error(&error))?;
        let error = match request.send(&mut connection).await {
            Err(error) if !is_answer(&error) => error,
            result => return result.map_err(|error| ledger_error(&error)),
        };
        *self.current.lock().await = None;
        if fresh || !error.is_connection_dropped() {
            return Err(ledger_error(&error));
        }
        let (mut connection, _) = self.connect().await.map_err(|error| ledger_error(&error))?;
        let result = request.send(&mut connection).await;
        if result.as_ref().is_err_and(|error| !is_answer(error)) {
            *self.current.lock().await = None;
        }
        result.map_err(|error| ledger_error(&error))
    }

    async fn connect(&self) -> RedisResult<(MultiplexedConnection, bool)> {
        let mut current = self.current.lock().await;
        if let Some(connection) = &*current {
            return Ok((connection.clone(), false));
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let connection = bounded(self.client.get_multiplexed_async_connection_with_config(&config)).await?;
        *current = Some(connection.clone());
        Ok((connection, true))
    }
}

/// Holds the whole of connecting to its bound: name lookup, TLS and log-in too.
async fn bounded<T>(connecting: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

/// Whether the server answered, so that the connection is sound. Read-only and loading servers answer too, but another may
/// stand behind the same address by now.
fn is_answer(error: &RedisError) -> bool {
    use redis::{ErrorKind, ServerErrorKind};
    let elsewhere = [ServerErrorKind::ReadOnly, ServerErrorKind::BusyLoading, ServerErrorKind::MasterDown];
    let kind = error.kind();
    let answered = matches!(kind, ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::UnexpectedReturnType);
    answered && !elsewhere.map(ErrorKind::Server).contains(&kind)
}

/// Says what happened without the server's own words, which may repeat what it was sent.
fn ledger_error(error: &RedisError) -> LedgerError {
    let reason = if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connection_refusal() {
        "connection refused".to_owned()
    } else if error.kind() == redis::ErrorKind::AuthenticationFailed {
        "user or password in LEDGER_URL refused".to_owned()
    } else if error.is_io_error() {
        "connection failed or broke".to_owned()
    } else {
        match error.code() {
            Some(code) => format!("refused with {code}{}", remedy(code)),
            None => error.category().to_owned(),
        }
    };
    LedgerError { store: STORE, reason, away: is_away(error) }
}

/// Whether the server is out of reach, or starting: it may answer later as it is.
fn is_away(error: &RedisError) -> bool {
    use redis::{ErrorKind, ServerErrorKind};
    let passing = [ServerErrorKind::BusyLoading, ServerErrorKind::MasterDown, ServerErrorKind::ClusterDown];
    let starting = passing.map(ErrorKind::Server).contains(&error.kind());
    starting || error.is_timeout() || error.is_connection_refusal() || error.is_io_error()
}

fn remedy(code: &str) -> &'static str {
    match code {
        "NOAUTH" => " (LEDGER_URL needs a password)",
        "NOPERM" => " (the user needs EVALSHA, SCRIPT LOAD, GET, SET, DEL, TIME and PING on keys {s3a}*)",
        "OOM" => " (memory is full)",
        "CROSSSLOT" | "MOVED" => " (a cluster of several shards cannot hold the ledger)",
        "READONLY" => " (this is a replica)",
        _ => "",
    }
}
