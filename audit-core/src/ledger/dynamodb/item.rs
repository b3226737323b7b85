//! An entry as an item: `id` (32 hexadecimal digits), `state`, `owner`, `batch`, `until_ms`, `gone_ms`, and `expires_at`
//! (epoch seconds) for the table's TTL, which deletes late, so that every condition tests the times itself.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use uuid::Uuid;

use crate::ledger::entry::{Entry, State};
use crate::ledger::{BatchId, Owner};
use crate::record::Key;

pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) const ID: &str = "id";
pub(super) const EXPIRES_AT: &str = "expires_at";

pub(super) fn id(key: Key) -> Item {
    Item::from([(ID.to_owned(), AttributeValue::S(key.to_hex()))])
}

pub(super) fn encode(key: Key, entry: Entry) -> Item {
    let (state, owner, batch) = match entry.state {
        State::Claimed(owner) => ("claimed", Some(owner), None),
        State::Sent(owner, batch) => ("sent", Some(owner), Some(batch)),
        State::Confirmed => ("confirmed", None, None),
        State::Held(batch) => ("held", None, Some(batch)),
    };
    let mut item = id(key);
    let mut set = |name: &str, value| _ = item.insert(name.to_owned(), value);
    set("state", AttributeValue::S(state.to_owned()));
    set("until_ms", number(entry.until));
    set("gone_ms", number(entry.gone));
    set(EXPIRES_AT, number(entry.gone.div_euclid(1000).saturating_add(1)));
    if let Some(owner) = owner {
        set("owner", uuid(owner.0));
    }
    if let Some(batch) = batch {
        set("batch", uuid(batch.0));
    }
    item
}

/// The entry in `item`; `None` when it is not one of the ledger's.
pub(super) fn decode(item: &Item) -> Option<Entry> {
    let number = |name| item.get(name)?.as_n().ok()?.parse().ok();
    let uuid = |name| Uuid::try_parse(item.get(name)?.as_s().ok()?).ok();
    let owner = || uuid("owner").map(Owner);
    let batch = || uuid("batch").map(BatchId);
    let state = match item.get("state")?.as_s().ok()?.as_str() {
        "claimed" => State::Claimed(owner()?),
        "sent" => State::Sent(owner()?, batch()?),
        "confirmed" => State::Confirmed,
        "held" => State::Held(batch()?),
        _ => return None,
    };
    Some(Entry { state, until: number("until_ms")?, gone: number("gone_ms")? })
}

/// What stands for the `#names` in a condition.
pub(super) fn names(condition: &str) -> HashMap<String, String> {
    [("#state", "state"), ("#owner", "owner"), ("#batch", "batch"), ("#until", "until_ms"), ("#gone", "gone_ms")]
        .into_iter()
        .filter(|(name, _)| condition.contains(name))
        .map(|(name, attribute)| (name.to_owned(), attribute.to_owned()))
        .collect()
}

/// What stands for the `:values` in a condition; a name without a value is refused by the store, as is one unused.
pub(super) fn values(condition: &str, now: i64, owner: Option<Owner>, batch: Option<BatchId>) -> Item {
    let state = |name: &str| Some(AttributeValue::S(name.to_owned()));
    [
        (":now", Some(number(now))),
        (":owner", owner.map(|owner| uuid(owner.0))),
        (":batch", batch.map(|batch| uuid(batch.0))),
        (":claimed", state("claimed")),
        (":sent", state("sent")),
        (":held", state("held")),
    ]
    .into_iter()
    .filter(|(name, _)| condition.contains(name))
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn uuid(uuid: Uuid) -> AttributeValue {
    AttributeValue::S(uuid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_reads_back() {
        let (owner, batch) = (Owner(Uuid::from_u128(7)), BatchId(Uuid::from_u128(8)));
        for state in [State::Claimed(owner), State::Sent(owner, batch), State::Confirmed, State::Held(batch)] {
            let entry = Entry { state, until: 1_000, gone: 2_001 };
            let item = encode(Key([0xab; 16]), entry);
            assert_eq!(decode(&item), Some(entry));
            assert_eq!(item[ID].as_s().unwrap(), &"ab".repeat(16));
            assert_eq!(item[EXPIRES_AT].as_n().unwrap(), "3", "the table's TTL comes after the entry's end");
        }
    }

    #[test]
    fn what_is_not_the_ledgers_is_not_read() {
        let mut item = encode(Key([1; 16]), Entry { state: State::Confirmed, until: 1, gone: 1 });
        item.insert("state".to_owned(), AttributeValue::S("sent".to_owned()));
        assert_eq!(decode(&item), None, "a sent without owner and batch");
        assert_eq!(decode(&Item::new()), None);
    }
}
