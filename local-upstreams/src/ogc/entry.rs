//! One log entry, judged in the resource server's order and refused in its words.

use serde_json::Value;
use uuid::Uuid;

use super::java::{self, LocalDateTime};
use super::refusal::Refusal;

/// A row of the metering table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) user_id: Uuid,
    pub(crate) collection_id: Uuid,
    /// `stac/collections/{collection}/items/{item}`, the collection as it was sent.
    pub(crate) api_path: String,
    pub(crate) timestamp: LocalDateTime,
    pub(crate) resp_size: i64,
}

/// Reads every entry, or refuses all for the first bad one.
pub(crate) fn rows(logs: &[Value]) -> Result<Vec<Row>, Refusal> {
    logs.iter().map(row).collect()
}

fn row(entry: &Value) -> Result<Row, Refusal> {
    // Vert.x reads any value of a JSON array as text; only null stays null.
    let text = match entry {
        Value::Null => return Err(Refusal::EMPTY_ENTRY),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => entry.to_string(),
    };
    if java::trim(&text).is_empty() {
        return Err(Refusal::EMPTY_ENTRY);
    }
    let fields: Vec<&str> = text.split('|').map(java::trim).collect();
    let [user, collection, item, time, size, _backend] = <[&str; 6]>::try_from(fields).map_err(|_| Refusal::FORMAT)?;
    if [user, collection, item, time, size].iter().any(|field| field.is_empty()) {
        return Err(Refusal::MISSING_FIELD);
    }
    let (Some(user_id), Some(collection_id)) = (java::uuid(user), java::uuid(collection)) else {
        return Err(Refusal::UUID);
    };
    let resp_size = java::long(size).ok_or(Refusal::SIZE)?;
    let timestamp = java::local_date_time(time).ok_or(Refusal::TIME)?;
    let api_path = format!("stac/collections/{collection}/items/{item}");
    Ok(Row { user_id, collection_id, api_path, timestamp, resp_size })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const USER: &str = "0b0c5b6e-9e0d-4b5e-8b1a-2f3c4d5e6f70";

    #[test]
    fn fields_are_trimmed_and_the_collection_keeps_its_spelling() {
        let row = row(&json!("\t1-1-1-1-1 | A-1-1-1-1 | a b | 2025-10-27T12:00:00+05:30 | +007 | ")).unwrap();
        assert_eq!(row.api_path, "stac/collections/A-1-1-1-1/items/a b");
        assert_eq!(row.resp_size, 7);
        assert_eq!(row.timestamp.to_string(), "2025-10-27 12:00:00");
        assert_eq!(row.collection_id.to_string(), "0000000a-0001-0001-0001-000000000001");
    }

    #[test]
    fn the_first_check_that_fails_words_the_refusal() {
        let entry =
            |user: &str, item: &str, time: &str, size: &str| json!(format!("{user}|{USER}|{item}|{time}|{size}|minio"));
        let time = "2025-10-27T10:12:30Z";
        for (entry, refusal) in [
            (json!(null), Refusal::EMPTY_ENTRY),
            (json!(" \t\n"), Refusal::EMPTY_ENTRY),
            (json!(5), Refusal::FORMAT),
            (json!("a|b|c|d|e"), Refusal::FORMAT),
            (json!("a|b|c|d|e|f|"), Refusal::FORMAT),
            (entry("", "i", time, "1"), Refusal::MISSING_FIELD),
            (entry("x", " ", "x", "x"), Refusal::MISSING_FIELD),
            (entry("x", "i", "x", "x"), Refusal::UUID),
            (entry(USER, "i", "x", "x"), Refusal::SIZE),
            (entry(USER, "i", "x", "1"), Refusal::TIME),
        ] {
            assert_eq!(row(&entry), Err(refusal), "{entry}");
        }
    }
}
