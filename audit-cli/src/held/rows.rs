//! Rows of the metering table, compared as the resource server makes them: without offset, to the microsecond.

use audit_core::record::{Download, MeteringRecord};
use uuid::Uuid;

/// How far two spellings of one time may be apart after the database rounded them.
const ROUNDING_NS: i128 = 1_000;

/// One distinct row of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) user: Uuid,
    pub(super) collection: Uuid,
    pub(super) item: String,
    pub(super) time: String,
    pub(super) bytes: i64,
    /// How many the batch has of it.
    pub(super) count: i64,
}

impl Row {
    /// `api_path` as the resource server writes it.
    pub(super) fn path(&self) -> String {
        format!("stac/collections/{}/items/{}", self.collection, self.item)
    }

    /// Whether `line`, of any sender, makes this row, or may: where its time cannot be read.
    pub(super) fn may_be_of(&self, line: &str) -> bool {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [user, collection, item, time, bytes, _backend] = fields[..] else { return false };
        let id = |text: &str, own: Uuid| Uuid::try_parse(text).is_ok_and(|id| id == own);
        id(user, self.user)
            && id(collection, self.collection)
            && item == self.item.trim()
            && bytes.parse() == Ok(self.bytes)
            && same_time(time, &self.time)
    }
}

fn same_time(one: &str, other: &str) -> bool {
    let instant = |text: &str| text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_nanosecond);
    instant(one).zip(instant(other)).is_none_or(|(one, other)| (one - other).abs() <= ROUNDING_NS)
}

/// The distinct rows that `downloads` make, with how many of each.
pub(super) fn of(downloads: &[Download]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for Download { record, .. } in downloads {
        let MeteringRecord { user_id, collection_id, item_id, timestamp, bytes, backend: _ } = record;
        let (item, time) = (item_id.as_ref(), timestamp.as_ref());
        let place = *places.entry((user_id, collection_id, item, time, bytes)).or_insert(rows.len());
        match rows.get_mut(place) {
            Some(row) => row.count += 1,
            None => rows.push(Row {
                user: *user_id,
                collection: *collection_id,
                item: item.to_owned(),
                time: time.to_owned(),
                // A record's bytes are at most 2⁶³−1.
                bytes: i64::try_from(*bytes).unwrap_or(i64::MAX),
                count: 1,
            }),
        }
    }
    rows
}
