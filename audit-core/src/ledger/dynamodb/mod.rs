//! The ledger in DynamoDB: one conditional write a key, side by side. A condition that fails tells the entry it failed on,
//! so no key is read twice, and a batch that stops half-way leaves only what each key alone may be.

mod advice;
mod call;
mod item;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::builders::DeleteItemFluentBuilder;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use self::call::{Calls, Put};
use self::item::Item;
use super::entry::{Entry, Moment, State};
use super::{BatchId, Claim, LedgerError, Owner, Terms};
use crate::clock::Clock;
use crate::record::Key;

const STORE: &str = "dynamodb";

const FREE: &str = "attribute_not_exists(id) OR #gone <= :now OR (#state = :claimed AND #owner = :owner)";
const MAY_BE_SENT: &str =
    "#until > :now AND #owner = :owner AND (#state = :claimed OR (#state = :sent AND #batch = :batch))";
const MAY_BE_CONFIRMED: &str = "#gone > :now AND #batch = :batch AND (#state = :sent OR #state = :held)";
const MAY_BE_HELD: &str = "#gone > :now AND #batch = :batch AND #state = :sent";
const MAY_BE_RELEASED: &str = "#owner = :owner AND (#state = :claimed OR #state = :sent)";
const MAY_BE_SETTLED: &str =
    "#gone > :now AND #batch = :batch AND (#state = :held OR (#state = :sent AND #until <= :now))";

/// A ledger in a table with the string key `id` and the TTL attribute `expires_at`.
#[derive(Debug)]
pub struct DynamoLedger {
    calls: Calls,
    terms: Terms,
    clock: Clock,
}

/// A condition, and what it speaks of.
#[derive(Debug, Clone, Copy)]
struct Condition {
    text: &'static str,
    now: i64,
    owner: Option<Owner>,
    batch: Option<BatchId>,
}

impl Condition {
    fn values(&self) -> Item {
        item::values(self.text, self.now, self.owner, self.batch)
    }
}

impl DynamoLedger {
    /// A ledger in `table`, reached as `client` is set up, but with the ledger's own timeouts and retries.
    #[must_use]
    pub fn new(client: &Client, table: &str, terms: Terms, clock: Clock) -> Self {
        Self { calls: Calls::new(client, table), terms, clock }
    }

    pub(super) async fn ping(&self) -> Result<(), LedgerError> {
        advice::read_something(&self.calls).await
    }

    pub(super) async fn check(&self) -> Result<Vec<String>, LedgerError> {
        advice::advise(&self.calls).await
    }

    pub(super) async fn claim(&self, keys: &[Key], owner: Owner) -> Result<Vec<Claim>, LedgerError> {
        let at = self.moment();
        let free = Condition { text: FREE, now: at.now, owner: Some(owner), batch: None };
        let answers = self.put(keys, at.claimed(owner), free).await?;
        let claim = |put: Put| match put {
            Put::Done => Ok(Claim::Claimed),
            Put::Refused(found) => {
                let found = item::decode(&found).ok_or_else(|| error("an item that is not the ledger's"))?;
                // A key that came free between the store's look and ours is tried again like a busy one.
                Ok(found.met_by(owner, at.now).unwrap_or(Claim::Busy))
            }
        };
        answers.into_iter().map(claim).collect()
    }

    pub(super) async fn sent(&self, keys: &[Key], owner: Owner, batch: BatchId) -> Result<Vec<bool>, LedgerError> {
        let at = self.moment();
        let may = Condition { text: MAY_BE_SENT, now: at.now, owner: Some(owner), batch: Some(batch) };
        let answers = self.put(keys, at.sent(owner, batch), may).await?;
        Ok(answers.into_iter().map(|put| matches!(put, Put::Done)).collect())
    }

    pub(super) async fn confirm(&self, keys: &[Key], batch: BatchId) -> Result<(), LedgerError> {
        let at = self.moment();
        let may = Condition { text: MAY_BE_CONFIRMED, now: at.now, owner: None, batch: Some(batch) };
        self.put(keys, at.kept(State::Confirmed), may).await.map(drop)
    }

    pub(super) async fn hold(&self, keys: &[Key], batch: BatchId) -> Result<(), LedgerError> {
        let at = self.moment();
        let may = Condition { text: MAY_BE_HELD, now: at.now, owner: None, batch: Some(batch) };
        self.put(keys, at.kept(State::Held(batch)), may).await.map(drop)
    }

    pub(super) async fn release(&self, keys: &[Key], owner: Owner) -> Result<(), LedgerError> {
        let may = Condition { text: MAY_BE_RELEASED, now: self.moment().now, owner: Some(owner), batch: None };
        self.delete(keys, may).await
    }

    pub(super) async fn settle(&self, keys: &[Key], batch: BatchId, delivered: bool) -> Result<(), LedgerError> {
        let at = self.moment();
        let may = Condition { text: MAY_BE_SETTLED, now: at.now, owner: None, batch: Some(batch) };
        if delivered {
            self.put(keys, at.kept(State::Confirmed), may).await.map(drop)
        } else {
            self.delete(keys, may).await
        }
    }

    async fn put(&self, keys: &[Key], entry: Entry, may: Condition) -> Result<Vec<Put>, LedgerError> {
        Calls::put_each(self.puts(keys, entry, may)).await
    }

    fn puts(&self, keys: &[Key], entry: Entry, may: Condition) -> Vec<PutItemFluentBuilder> {
        let request = |key: &Key| {
            self.calls
                .client
                .put_item()
                .table_name(&self.calls.table)
                .set_item(Some(item::encode(*key, entry)))
                .condition_expression(may.text)
                .set_expression_attribute_names(Some(item::names(may.text)))
                .set_expression_attribute_values(Some(may.values()))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        };
        keys.iter().map(request).collect()
    }

    async fn delete(&self, keys: &[Key], may: Condition) -> Result<(), LedgerError> {
        Calls::delete_each(self.deletes(keys, may)).await
    }

    fn deletes(&self, keys: &[Key], may: Condition) -> Vec<DeleteItemFluentBuilder> {
        let request = |key: &Key| {
            self.calls
                .client
                .delete_item()
                .table_name(&self.calls.table)
                .set_key(Some(item::id(*key)))
                .condition_expression(may.text)
                .set_expression_attribute_names(Some(item::names(may.text)))
                .set_expression_attribute_values(Some(may.values()))
        };
        keys.iter().map(request).collect()
    }

    fn moment(&self) -> Moment {
        Moment::new(self.clock.now(), self.terms)
    }
}

fn error(reason: &str) -> LedgerError {
    LedgerError { store: STORE, reason: reason.to_owned(), away: false }
}
