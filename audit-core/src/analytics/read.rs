//! One successful read of an object's body, owned, as it waits for its turn.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{AccessEvent, Backend, Operation, Presigned, Spellings, Value};
use crate::record::parse_bytes;

/// One successful read of an object with a body. May be stored; its `Debug` keeps quiet about who read.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Who told of it.
    pub backend: Backend,
    /// Bucket name.
    pub bucket: String,
    /// Object key, decoded.
    pub key: String,
    /// IP address, or what stood in its place.
    pub client_address: Option<String>,
    /// User-Agent, brackets still around it.
    pub user_agent: Option<String>,
    /// The access key that signed the request.
    pub access_key: Option<String>,
    /// When, as the record has it.
    pub time: Option<String>,
    /// Bytes sent, where that is known.
    pub bytes: Option<u64>,
    /// STAC collection, of a URL whose signature covers it.
    pub collection: Option<String>,
    /// STAC item, likewise.
    pub item: Option<String>,
    /// STAC asset, likewise.
    pub asset: Option<String>,
    /// The same for all records of one read: replays, and MinIO's audit entry and notification.
    pub identity: Option<String>,
}

/// What is kept of a text that the client may make as long as it likes: more than any real one has, and little in a queue's message.
const CLIENT_TEXT_BYTES: usize = 4096;

impl Read {
    /// The read that `event` tells of; `None` if it is none: another operation, a failure, or no object named.
    #[must_use]
    pub fn from_event(event: &AccessEvent<'_>) -> Option<Self> {
        let visit = &event.visit;
        let counts = match event.operation {
            // A correction repeats a read that was told before.
            Operation::GetObject => event.succeeded && !event.updates_earlier,
            Operation::Notification => visit.notified_get,
            Operation::Other | Operation::NotIncoming => false,
        };
        let (Some(bucket), Some(key), true) = (&visit.bucket, &visit.key, counts) else {
            return None;
        };
        // Anyone could write what no signature covers.
        let signed = event.presigned == Presigned::SigV4;
        let id = |spellings: &Spellings<'_>| if signed { agreed_text(spellings) } else { None };
        let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
        Some(Self {
            backend: event.backend,
            bucket: bucket.clone().into_owned(),
            key: key.clone().into_owned(),
            client_address: visit.client_address.as_deref().map(beginning),
            user_agent: visit.user_agent.as_deref().map(beginning),
            access_key: owned(&visit.access_key),
            time: event.time.text().map(str::to_owned).or_else(|| number(&event.time).map(str::to_owned)),
            bytes: number(&event.bytes).and_then(|number| parse_bytes(number).ok()),
            collection: id(&event.ids.collection),
            item: id(&event.ids.item),
            asset: id(&event.ids.asset),
            identity: event.identity.clone(),
        })
    }

    /// When, in UTC: RFC 3339, or milliseconds since 1970 (as `RustFS` writes); `None` for anything else.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        let text = self.time.as_deref()?.trim();
        text.parse().ok().or_else(|| Timestamp::from_millisecond(text.parse().ok()?).ok())
    }
}

fn beginning(text: &str) -> String {
    let end = (0..=text.len().min(CLIENT_TEXT_BYTES)).rev().find(|&end| text.is_char_boundary(end));
    end.and_then(|end| text.get(..end)).unwrap_or_default().to_owned()
}

fn number<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    match value {
        Value::NotText(json) => std::str::from_utf8(json).ok(),
        Value::Absent | Value::Text(_) => None,
    }
}

/// The one text that all spellings agree on.
fn agreed_text(spellings: &Spellings<'_>) -> Option<String> {
    let mut values = spellings.values();
    let first = values.next()?;
    if values.all(|other| other == first) { first.text().map(str::to_owned) } else { None }
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read")
            .field("backend", &self.backend)
            .field("bucket", &self.bucket)
            .field("time", &self.time)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Ids, Visit};

    fn event() -> AccessEvent<'static> {
        let mut ids = Ids::default();
        ids.user.offer("userId".into(), Value::of_text("somebody".into()));
        ids.item.offer("itemId".into(), Value::of_text("S2A".into()));
        AccessEvent {
            backend: Backend::AwsS3,
            operation: Operation::GetObject,
            presigned: Presigned::SigV4,
            succeeded: true,
            ids,
            bytes: Value::NotText(b"2356.0".as_slice().into()),
            time: Value::of_text("2025-10-27T10:12:30Z".into()),
            updates_earlier: false,
            identity: Some("e-1".into()),
            visit: Visit {
                bucket: Some("stac".into()),
                key: Some("a/b.tif".into()),
                client_address: Some("203.0.113.7".into()),
                user_agent: Some("[GDAL/3.8.4]".into()),
                ..Visit::default()
            },
        }
    }

    fn read(change: impl FnOnce(&mut AccessEvent<'static>)) -> Option<Read> {
        let mut event = event();
        change(&mut event);
        Read::from_event(&event)
    }

    #[test]
    fn a_read_keeps_what_the_dashboard_needs() {
        let read = read(|_| {}).unwrap();
        assert_eq!((read.bytes, read.item.as_deref(), read.asset.as_deref()), (Some(2356), Some("S2A"), None));
        let json = serde_json::to_string(&read).unwrap();
        assert!(!json.contains("somebody"), "{json}");
        assert_eq!(serde_json::from_str::<Read>(&json).unwrap(), read);
    }

    #[test]
    fn only_successful_reads_count() {
        type Change = fn(&mut AccessEvent<'static>);
        let none: [Change; 7] = [
            |event| event.succeeded = false,
            |event| event.operation = Operation::Other,
            |event| event.operation = Operation::NotIncoming,
            |event| event.operation = Operation::Notification,
            |event| event.updates_earlier = true,
            |event| event.visit.key = None,
            |event| event.visit.bucket = None,
        ];
        for (number, change) in none.into_iter().enumerate() {
            assert_eq!(read(change), None, "{number}");
        }
        let counted: [Change; 3] = [
            |event| event.presigned = Presigned::No,
            |event| event.ids = Ids::default(),
            |event| {
                event.operation = Operation::Notification;
                event.visit.notified_get = true;
            },
        ];
        for (number, change) in counted.into_iter().enumerate() {
            assert!(read(change).is_some(), "{number}");
        }
    }

    #[test]
    fn what_a_client_wrote_is_cut_between_two_characters() {
        let long = "ü".repeat(CLIENT_TEXT_BYTES);
        let read = read(|event| {
            event.visit.user_agent = Some(format!("x{long}").into());
            event.visit.client_address = Some(long.clone().into());
        });
        let [user_agent, address] = read.map(|own| [own.user_agent, own.client_address]).unwrap().map(Option::unwrap);
        assert_eq!((user_agent.len(), address.len()), (CLIENT_TEXT_BYTES - 1, CLIENT_TEXT_BYTES));
        assert!(user_agent.starts_with("xüü") && address.ends_with('ü'));
    }

    #[test]
    fn ids_that_nobody_signed_or_that_disagree_are_left_out() {
        let item = |change: fn(&mut AccessEvent<'static>)| read(change).unwrap().item;
        assert_eq!(item(|event| event.presigned = Presigned::SigV2), None);
        assert_eq!(item(|event| event.ids.item.offer("x-itemId".into(), Value::of_text("S2B".into()))), None);
    }

    #[test]
    fn unknown_bytes_are_unknown() {
        for bytes in ["-1", "1.5", "null"] {
            assert_eq!(read(|event| event.bytes = Value::NotText(bytes.as_bytes().into())).unwrap().bytes, None);
        }
        assert_eq!(read(|event| event.bytes = Value::Absent).unwrap().bytes, None);
    }

    #[test]
    fn times_are_rfc_3339_or_milliseconds() {
        let seconds =
            |time: Value<'static>| read(|event| event.time = time).unwrap().timestamp().map(Timestamp::as_second);
        assert_eq!(seconds(Value::of_text("2025-10-27T10:12:30.25Z".into())), Some(1_761_559_950));
        assert_eq!(seconds(Value::NotText(b"1761559950250".as_slice().into())), Some(1_761_559_950));
        assert_eq!(seconds(Value::of_text("yesterday".into())), None);
        assert_eq!(seconds(Value::Absent), None);
    }

    #[test]
    fn nothing_of_the_visitor_shows_in_debug_output() {
        let shown = format!("{:?}", read(|event| event.visit.access_key = Some("AKIAEXAMPLE".into())));
        for secret in ["203.0.113.7", "GDAL", "AKIA", "b.tif"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
