//! CloudTrail log files against the judgement of a full JSON parser.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::policy::MeteringPolicy;
use crate::source::ReadLimits;
use crate::source::cloudtrail::read;
use crate::source::found::Item;

type Counts = BTreeMap<&'static str, u64>;

/// What is a download, or is told only after the tests that the full parser makes.
const LATER: &str = "later";
const JUDGED: [&str; 5] = ["malformed", "not_presigned_get", "failed_request", "no_ids", "unsigned_ids"];

/// A log file, gzip or plain: read alike whatever the buffer and whoever asks; every record accounted for; and where the full parser can read it,
/// so can we, with the same count of records for each of the first reasons.
pub fn log_file(file: &[u8]) {
    let limits = ReadLimits { max_text_bytes: 1 << 20, ..ReadLimits::default() };
    let counts = counts(file, &limits);
    assert_eq!(counts, self::counts(file, &ReadLimits { buffer_bytes: 128, ..limits }), "the buffer matters");
    assert_eq!(counts, self::counts(file, &ReadLimits { visits: true, ..limits }), "looking for visits matters");
    let Some(records) = full_parse(file) else { return };
    let judged = records.iter().map(|record| judge(record.get())).collect::<Option<Vec<_>>>();
    let Some(judged) = judged else { return };
    let mut expected = Counts::new();
    for reason in judged {
        *expected.entry(reason).or_default() += 1;
    }
    assert_eq!(counts, Ok(expected), "a full parser judges otherwise");
}

fn counts(file: &[u8], limits: &ReadLimits) -> Result<Counts, String> {
    let log = match read(file, &"f".into(), &MeteringPolicy::default(), limits) {
        Ok(Some(log)) => log,
        Ok(None) => return Ok(Counts::new()),
        Err(error) => return Err(error.to_string()),
    };
    let mut counts = Counts::new();
    let mut count = |reason: &'static str, records: u64| {
        let reason = if JUDGED.contains(&reason) { reason } else { LATER };
        *counts.entry(reason).or_default() += records;
    };
    for (reason, records) in &log.skipped {
        count(reason.name(), *records);
    }
    for item in log.found {
        match item {
            Ok(Item::Download(_)) => count(LATER, 1),
            Ok(Item::Quarantined(record)) => count(record.reason.name(), 1),
            Ok(Item::Read(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    assert_eq!(log.records, counts.values().sum::<u64>(), "records that nothing accounts for");
    Ok(counts)
}

/// The records of a file that is JSON throughout, with `Records` once, and UTF-8.
fn full_parse(file: &[u8]) -> Option<Vec<&RawValue>> {
    let text = std::str::from_utf8(file).ok()?;
    let top: Members<'_> = serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text)).ok()?;
    let mut lists = top.0.iter().filter(|(name, _)| name == "Records").map(|(_, value)| value);
    let list = lists.next().filter(|_| lists.next().is_none())?;
    serde_json::from_str(list.get()).ok()
}

/// An object's members, with those that are there twice.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(All)
    }
}

/// The first reasons in their order; `None` for what the full parser does not take, or keeps inexactly.
fn judge(record: &str) -> Option<&'static str> {
    let record: Value = serde_json::from_str(record).ok()?;
    if !record.is_object() {
        return Some("malformed");
    }
    let is = |pointer: &str, text: &str| record.pointer(pointer).and_then(Value::as_str) == Some(text);
    let there = |pointer: &str| record.pointer(pointer).is_some_and(is_present);
    let in_object = |object: &str, name: &str| {
        record.get(object).is_some_and(Value::is_object) && there(&format!("/{object}/{name}"))
    };
    let [sigv4, sigv2] = ["X-Amz-Expires", "Expires"].map(|name| in_object("requestParameters", name));
    let status = record.pointer("/additionalEventData/httpStatusCode").filter(|status| is_present(status));
    if status.is_some_and(Value::is_f64) {
        return None;
    }
    let has_id = |id: &str| {
        let parameters = record.get("requestParameters").and_then(Value::as_object).into_iter().flatten();
        let named = |name: &str| {
            let name = name.to_ascii_lowercase();
            name == id || name.strip_prefix("x-") == Some(id)
        };
        parameters.into_iter().any(|(name, value)| named(name) && is_present(value))
    };
    let reason = if !is("/eventSource", "s3.amazonaws.com")
        || !is("/eventName", "GetObject")
        || there("/eventCategory") && !is("/eventCategory", "Data")
        || record.get("managementEvent") == Some(&Value::Bool(true))
        || !is("/additionalEventData/AuthenticationMethod", "QueryString")
        || !(sigv4 || sigv2)
    {
        "not_presigned_get"
    } else if there("/errorCode") || status.is_some_and(|status| !matches!(status.as_u64(), Some(200 | 206))) {
        "failed_request"
    } else if !has_id("collectionid") && !has_id("itemid") {
        "no_ids"
    } else if !sigv4 {
        "unsigned_ids"
    } else {
        LATER
    };
    Some(reason)
}

fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => text.chars().any(|char| char > ' '),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => true,
    }
}
