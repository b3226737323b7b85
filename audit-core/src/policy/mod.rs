//! What an access event is worth: a download to bill, a read to skip for a named reason, or a record to quarantine for a
//! named reason. Pure functions; the first test that holds names the reason.

mod reason;

use std::sync::Arc;

pub use reason::{QuarantineReason, SkipReason};
use uuid::Uuid;

use crate::event::{AccessEvent, IdParams, Operation, Presigned, Spellings, Value};
use crate::record::{Download, FieldError, ItemId, MeteringRecord, UtcTime, parse_bytes, parse_uuid};

/// What an operator decides about metering.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeteringPolicy {
    /// Names of the parameters that carry the ids.
    pub params: IdParams,
    /// Bills downloads without a user to this one; `None` skips them as `no_user`.
    pub anonymous_user: Option<Uuid>,
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// To be billed.
    Download(Download),
    /// Nothing to bill.
    Skipped(SkipReason),
    /// Should perhaps be billed, but cannot be: kept for a person to look at.
    Quarantined(QuarantineReason, &'static str),
}

/// Why an event is no download.
enum Refusal {
    Skip(SkipReason),
    Quarantine(QuarantineReason, &'static str),
}

impl MeteringPolicy {
    /// Judges `event`, the record number `number` of `origin`.
    #[must_use]
    pub fn classify(&self, event: &AccessEvent<'_>, origin: &Arc<str>, number: u64) -> Verdict {
        match self.judge(event) {
            Ok((identity, record)) => {
                Verdict::Download(Download { identity, record, origin: Arc::clone(origin), number })
            }
            Err(Refusal::Skip(reason)) => Verdict::Skipped(reason),
            Err(Refusal::Quarantine(reason, detail)) => Verdict::Quarantined(reason, detail),
        }
    }

    fn judge(&self, event: &AccessEvent<'_>) -> Result<(String, MeteringRecord), Refusal> {
        use QuarantineReason as Q;
        let skip = |reason| Err(Refusal::Skip(reason));

        match event.operation {
            Operation::Notification => return skip(SkipReason::Notification),
            Operation::NotIncoming => return skip(SkipReason::NotIncoming),
            Operation::Other => return skip(SkipReason::NotPresignedGet),
            Operation::GetObject => {}
        }
        if event.presigned == Presigned::No {
            return skip(SkipReason::NotPresignedGet);
        }
        if !event.succeeded {
            return skip(SkipReason::FailedRequest);
        }
        let ids = &event.ids;
        if ids.collection.values().next().is_none() && ids.item.values().next().is_none() {
            return skip(SkipReason::NoIds);
        }
        if event.presigned == Presigned::SigV2 {
            return skip(SkipReason::UnsignedIds);
        }
        let [user, collection] = [&ids.user, &ids.collection].map(|id| agreed(id, same_uuid));
        let [item, asset] = [&ids.item, &ids.asset].map(|id| agreed(id, |one, other| one == other));
        let ((user, collection), (item, _asset)) = (user.zip(collection).zip(item.zip(asset)))
            .ok_or(quarantined(Q::ConflictingIds, "two spellings of one id have different values"))?;
        let (Some(collection), Some(item)) = (collection, item) else {
            return Err(quarantined(Q::IncompleteIds, "expected both a collection id and an item id"));
        };
        let user_id = match (user, self.anonymous_user) {
            (Some(user), _) => uuid_of(user, "user id").map_err(|_| quarantined(Q::InvalidUserId, UUID_EXPECTED))?,
            (None, Some(anonymous)) => anonymous,
            (None, None) => return skip(SkipReason::NoUser),
        };
        let record = MeteringRecord {
            user_id,
            collection_id: uuid_of(collection, "collection id")
                .map_err(|_| quarantined(Q::InvalidCollectionId, UUID_EXPECTED))?,
            item_id: item_of(item).map_err(|_| quarantined(Q::InvalidItemId, ITEM_EXPECTED))?,
            bytes: bytes_of(&event.bytes).map_err(|_| quarantined(Q::InvalidBytes, BYTES_EXPECTED))?,
            timestamp: time_of(&event.time).map_err(|_| quarantined(Q::InvalidTime, TIME_EXPECTED))?,
            backend: event.backend,
        };
        if event.updates_earlier {
            return Err(quarantined(Q::UpdatedData, "corrects an earlier record, which may have been billed"));
        }
        match &event.identity {
            Some(identity) => Ok((identity.clone(), record)),
            None => Err(quarantined(Q::NoIdentity, "expected the ids that tell this record from every other")),
        }
    }
}

const UUID_EXPECTED: &str = "expected a UUID of 36 characters with hyphens";
const ITEM_EXPECTED: &str = "expected text without pipes and control characters";
const BYTES_EXPECTED: &str = "expected a whole number from 0 to 9223372036854775807";
const TIME_EXPECTED: &str = "expected a UTC time as YYYY-MM-DDTHH:MM:SSZ";

fn quarantined(reason: QuarantineReason, detail: &'static str) -> Refusal {
    Refusal::Quarantine(reason, detail)
}

/// The one value that all spellings agree on, if any is present; `None` where they disagree.
#[allow(clippy::option_option, reason = "disagreement and absence are different outcomes")]
fn agreed<'s, 'a>(
    id: &'s Spellings<'a>,
    same: impl Fn(&Value<'a>, &Value<'a>) -> bool,
) -> Option<Option<&'s Value<'a>>> {
    let mut values = id.values();
    let first = values.next();
    match first {
        Some(first) => values.all(|other| same(first, other)).then_some(Some(first)),
        None => Some(None),
    }
}

fn same_uuid(one: &Value<'_>, other: &Value<'_>) -> bool {
    let uuid = |value: &Value<'_>| value.text().and_then(|text| parse_uuid(text, "").ok());
    one == other || uuid(one).is_some_and(|one| uuid(other) == Some(one))
}

fn uuid_of(value: &Value<'_>, field: &'static str) -> Result<Uuid, FieldError> {
    value.text().ok_or(FieldError::Uuid(field)).and_then(|text| parse_uuid(text, field))
}

fn item_of(value: &Value<'_>) -> Result<ItemId, FieldError> {
    value.text().ok_or(FieldError::Item).and_then(|text| text.to_owned().try_into())
}

fn time_of(value: &Value<'_>) -> Result<UtcTime, FieldError> {
    value.text().ok_or(FieldError::Time).and_then(|text| text.to_owned().try_into())
}

/// Only a JSON number counts: a string of digits is no byte count.
fn bytes_of(value: &Value<'_>) -> Result<u64, FieldError> {
    match value {
        Value::NotText(json) => std::str::from_utf8(json).map_err(|_| FieldError::Bytes).and_then(parse_bytes),
        Value::Absent | Value::Text(_) => Err(FieldError::Bytes),
    }
}

#[cfg(test)]
mod tests;
