//! CloudWatch Logs subscriptions: `awslogs.data` is base64 of gzip of JSON, whose messages are CloudTrail records.

use std::io::Read;

use base64::Engine;
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{TriggerError, records_json};
use crate::json::Cursor;

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(rename = "messageType")]
    kind: String,
    #[serde(rename = "logEvents", borrow, default)]
    events: Vec<Event<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
}

/// The records of `data`, which inflates to `cap` bytes at most; `None` for control messages.
pub(super) fn records(data: &str, cap: u64) -> Result<Option<Vec<u8>>, TriggerError> {
    let fail = |reason: &str| TriggerError::Data(reason.to_owned());
    let gzip = base64::engine::general_purpose::STANDARD.decode(data).map_err(|_| fail("expected base64"))?;
    let mut json = Vec::new();
    MultiGzDecoder::new(gzip.as_slice())
        .take(cap.saturating_add(1))
        .read_to_end(&mut json)
        .map_err(|_| fail("expected whole gzip data"))?;
    if u64::try_from(json.len()).is_ok_and(|len| len > cap) {
        return Err(TriggerError::Data(format!("inflates to more than MAX_DECOMPRESSED_BYTES ({cap})")));
    }
    let data: Data<'_> =
        serde_json::from_slice(&json).map_err(|_| fail("expected an object with messageType and logEvents"))?;
    match data.kind.as_str() {
        "DATA_MESSAGE" => {
            let records: Vec<_> = data.events.iter().map(record).collect::<Result<_, _>>()?;
            Ok(Some(records_json(records.iter().map(|record| &**record))))
        }
        "CONTROL_MESSAGE" => Ok(None),
        _ => Err(fail("expected messageType to be DATA_MESSAGE or CONTROL_MESSAGE")),
    }
}

/// A message that is JSON is a record as it stands; one that is not stays a string, and so a malformed record.
fn record(event: &Event<'_>) -> Result<Box<RawValue>, TriggerError> {
    let text: String = serde_json::from_str(event.message.get())
        .map_err(|_| TriggerError::Data("expected logEvents[].message to be a string".to_owned()))?;
    let mut cursor = Cursor::new(text.as_bytes());
    let is_json = cursor.skip().and_then(|_| cursor.end()).is_ok();
    let own = if is_json { RawValue::from_string(text) } else { to_raw_value(&text) };
    own.map_err(|_| TriggerError::Data("expected logEvents[].message to be text".to_owned()))
}
