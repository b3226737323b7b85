//! What the ledger needs of its table, looked up at start.

use aws_sdk_dynamodb::types::{KeyType, ScalarAttributeType, TableDescription, TimeToLiveStatus};

use super::call::{Calls, persistently};
use super::item::{self, EXPIRES_AT, ID};
use crate::ledger::LedgerError;
use crate::record::Key;

/// Reads one key, which need not be there.
pub(super) async fn read_something(calls: &Calls) -> Result<(), LedgerError> {
    let request = calls.client.get_item().table_name(&calls.table).set_key(Some(item::id(Key([0; 16]))));
    match persistently(|| request.clone().send()).await {
        Ok(_) => Ok(()),
        Err(failure) => Err(failure.into_ledger()),
    }
}

/// What is missing, each with what to set. A role that may not look is no error; a table of another shape is one.
pub(super) async fn advise(calls: &Calls) -> Result<Vec<String>, LedgerError> {
    read_something(calls).await?;
    let mut advice = Vec::new();
    let request = calls.client.describe_table().table_name(&calls.table);
    match persistently(|| request.clone().send()).await {
        Ok(answer) if answer.table().is_some_and(has_our_key) => {}
        Ok(_) => return Err(super::error("the table's key must be the string attribute id alone")),
        Err(_) => {
            advice.push(format!("the ledger's table cannot be described: make sure its key is the string {ID} alone"));
        }
    }
    let request = calls.client.describe_time_to_live().table_name(&calls.table);
    let ttl = persistently(|| request.clone().send()).await.ok().and_then(|answer| answer.time_to_live_description);
    let expires = ttl.is_some_and(|ttl| {
        let on = matches!(ttl.time_to_live_status(), Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling));
        on && ttl.attribute_name() == Some(EXPIRES_AT)
    });
    if !expires {
        advice.push(format!(
            "the ledger's table keeps entries for ever, as far as can be seen: set its TTL attribute to {EXPIRES_AT}"
        ));
    }
    Ok(advice)
}

fn has_our_key(table: &TableDescription) -> bool {
    let [key] = table.key_schema() else { return false };
    let text = |attribute: &aws_sdk_dynamodb::types::AttributeDefinition| {
        attribute.attribute_name() == ID && *attribute.attribute_type() == ScalarAttributeType::S
    };
    key.attribute_name() == ID && *key.key_type() == KeyType::Hash && table.attribute_definitions().iter().any(text)
}
