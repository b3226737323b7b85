//! The ledger in Redis 6.2 or later: each step of a batch is one atomic round trip.

mod advice;
mod connection;
mod scripts;

use redis::{FromRedisValue, Script, ScriptInvocation};
use secrecy::SecretString;
use uuid::Uuid;

use self::connection::Connection;
use self::scripts::Scripts;
use super::entry::millis;
use super::{BatchId, Claim, LedgerError, Owner, Terms};
use crate::record::Key;

const STORE: &str = "redis";

/// The braces keep all keys in one slot, so that a script may touch them where the server runs as a cluster of one shard.
const PREFIX: &[u8] = b"{s3a}";

/// A ledger in Redis, by Redis' own clock.
pub struct RedisLedger {
    connection: Box<Connection>,
    scripts: Box<Scripts>,
    terms: Terms,
}

impl std::fmt::Debug for RedisLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisLedger").field("terms", &self.terms).finish_non_exhaustive()
    }
}

impl RedisLedger {
    /// A ledger at `url`; connects when first used.
    ///
    /// # Errors
    /// When `url` is no Redis address.
    pub fn new(url: &SecretString, terms: Terms) -> Result<Self, LedgerError> {
        Ok(Self { connection: Box::new(Connection::new(url)?), scripts: Box::new(Scripts::new()), terms })
    }

    pub(super) async fn ping(&self) -> Result<(), LedgerError> {
        self.connection.command(redis::cmd("PING")).await
    }

    pub(super) async fn check(&self) -> Result<Vec<String>, LedgerError> {
        advice::advise(&self.connection).await
    }

    pub(super) async fn claim(&self, keys: &[Key], owner: Owner) -> Result<Vec<Claim>, LedgerError> {
        let mut call = call(&self.scripts.claim, keys);
        call.arg(owner.0.as_bytes()).arg(at_least_one(millis(self.terms.lease)));
        let answers: Vec<Vec<u8>> = self.run(keys, &call).await?;
        answers_for(keys, answers.iter().map(|answer| read_claim(answer)).collect())
    }

    pub(super) async fn sent(&self, keys: &[Key], owner: Owner, batch: BatchId) -> Result<Vec<bool>, LedgerError> {
        let lease = at_least_one(millis(self.terms.lease));
        let keep = lease.max(millis(self.terms.ttl));
        let mut call = call(&self.scripts.sent, keys);
        call.arg(owner.0.as_bytes()).arg(batch.0.as_bytes()).arg(lease).arg(keep);
        let answers: Vec<bool> = self.run(keys, &call).await?;
        answers_for(keys, answers.into_iter().map(Some).collect())
    }

    pub(super) async fn confirm(&self, keys: &[Key], batch: BatchId) -> Result<(), LedgerError> {
        let mut call = call(&self.scripts.confirm, keys);
        call.arg(batch.0.as_bytes()).arg(self.ttl());
        self.run(keys, &call).await
    }

    pub(super) async fn hold(&self, keys: &[Key], batch: BatchId) -> Result<(), LedgerError> {
        let mut call = call(&self.scripts.hold, keys);
        call.arg(batch.0.as_bytes()).arg(self.ttl());
        self.run(keys, &call).await
    }

    pub(super) async fn release(&self, keys: &[Key], owner: Owner) -> Result<(), LedgerError> {
        let mut call = call(&self.scripts.release, keys);
        call.arg(owner.0.as_bytes());
        self.run(keys, &call).await
    }

    pub(super) async fn settle(&self, keys: &[Key], batch: BatchId, delivered: bool) -> Result<(), LedgerError> {
        let mut call = call(&self.scripts.settle, keys);
        call.arg(batch.0.as_bytes()).arg(if delivered { self.ttl() } else { 0 });
        self.run(keys, &call).await
    }

    fn ttl(&self) -> i64 {
        at_least_one(millis(self.terms.ttl))
    }

    async fn run<T: FromRedisValue + Default>(
        &self,
        keys: &[Key],
        call: &ScriptInvocation<'_>,
    ) -> Result<T, LedgerError> {
        if keys.is_empty() {
            return Ok(T::default());
        }
        self.connection.script(call).await
    }
}

/// Redis refuses an expiry of 0.
fn at_least_one(term_ms: i64) -> i64 {
    term_ms.max(1)
}

fn call<'a>(script: &'a Script, keys: &[Key]) -> ScriptInvocation<'a> {
    let mut call = script.prepare_invoke();
    for key in keys {
        call.key([PREFIX, &key.0].concat());
    }
    call
}

fn read_claim(answer: &[u8]) -> Option<Claim> {
    match answer.split_first()? {
        (b'C', []) => Some(Claim::Claimed),
        (b'D', []) => Some(Claim::Duplicate),
        (b'B', []) => Some(Claim::Busy),
        (b'L', batch) => Some(Claim::Lost(BatchId(Uuid::from_slice(batch).ok()?))),
        _ => None,
    }
}

fn answers_for<T>(keys: &[Key], answers: Vec<Option<T>>) -> Result<Vec<T>, LedgerError> {
    let read: Option<Vec<T>> = answers.into_iter().collect();
    read.filter(|read| read.len() == keys.len()).ok_or_else(|| LedgerError {
        store: STORE,
        reason: "an answer that no script of the ledger gives".to_owned(),
        away: false,
    })
}
