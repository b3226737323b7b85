//! Which shape an event has, by what only that shape has.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::object::{self, Named};
use super::{TriggerError, records_json};
use crate::json::Cursor;

/// An event of a known shape.
pub(super) enum Shape<'a> {
    /// Tells that something was set up.
    Test,
    /// Names objects.
    Objects(Vec<Named>),
    /// Holds CloudTrail records: `{"Records":[…]}`.
    Records(Vec<u8>),
    /// `awslogs.data`.
    Logs(String),
    /// An SNS message as SNS writes it to SQS: the text within.
    SnsEnvelope(String),
    /// What SNS invokes a function with.
    Sns(Vec<Members<'a>>),
    /// What SQS invokes a function with.
    Sqs(Vec<Members<'a>>),
}

/// The members of an object, their values unread: of any depth, and with any text in them.
pub(super) struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Members<'a> {
    fn of(json: &'a RawValue) -> Option<Self> {
        serde_json::from_str(json.get()).ok().map(Self)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| value.get() != "null")
    }

    pub(super) fn string(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.0.get(key)?.get()).ok()
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        serde_json::from_str(self.0.get(key)?.get()).ok()
    }

    pub(super) fn object(&self, key: &str) -> Option<Members<'a>> {
        Self::of(self.0.get(key)?)
    }

    pub(super) fn array(&self, key: &str) -> Option<Vec<&'a RawValue>> {
        serde_json::from_str(self.0.get(key)?.get()).ok()
    }

    fn is(&self, key: &str, value: &str) -> bool {
        self.string(key).as_deref() == Some(value)
    }

    /// The keys, for people: a few, cut short, since a hostile event may have any.
    fn keys(&self) -> String {
        let keys: Vec<String> = self.0.keys().take(8).map(|key| key.chars().take(40).collect()).collect();
        let more = if self.0.len() > keys.len() { ", …" } else { "" };
        if keys.is_empty() {
            "an object without keys".into()
        } else {
            format!("an object with the keys {}{more}", keys.join(", "))
        }
    }
}

const VALIDATION: &str = "CloudTrail validation message.";

/// What CloudTrail writes to a topic when a trail is set up; raw delivery leaves it without quotes.
pub(super) fn is_validation_message(text: &str) -> bool {
    text.trim().trim_matches('"') == VALIDATION
}

/// The shape of `payload`, which is `within` the invocation.
pub(super) fn of<'a>(within: &'static str, payload: &'a [u8]) -> Result<Shape<'a>, TriggerError> {
    let mut cursor = Cursor::new(payload);
    cursor.skip().and_then(|_| cursor.end()).map_err(|reason| TriggerError::NotJson { within, reason })?;
    let unknown = |seen: String| TriggerError::Unknown { seen };
    let text = std::str::from_utf8(payload).map_err(|_| unknown("bytes that are not UTF-8".into()))?;
    if is_validation_message(text) {
        return Ok(Shape::Test);
    }
    let event = serde_json::from_str(text).map(Members).map_err(|_| unknown("JSON that is no object".into()))?;

    if let Some(records) = event.array("Records") {
        return of_records(&records);
    }
    if event.is("Event", "s3:TestEvent") {
        return Ok(Shape::Test);
    }
    if event.is("Type", "Notification") {
        let missing = TriggerError::Field { within: "SNS message", expected: "Message to be a string" };
        return event.string("Message").map(Shape::SnsEnvelope).ok_or(missing);
    }
    if event.has("s3Bucket") && event.has("s3ObjectKey") {
        return object::of_cloudtrail(&event).map(Shape::Objects);
    }
    // Before S3's own events: a call of S3 has S3 as its source too.
    if event.is("detail-type", "AWS API Call via CloudTrail") {
        let missing =
            TriggerError::Field { within: "EventBridge CloudTrail event", expected: "detail to be an object" };
        let detail = event.0.get("detail").filter(|detail| detail.get().starts_with('{')).ok_or(missing)?;
        return Ok(Shape::Records(records_json([*detail])));
    }
    if event.is("source", "aws.s3") && event.has("detail-type") {
        return object::of_event_bridge(&event).map(|object| Shape::Objects(vec![object]));
    }
    if event.has("awslogs") {
        let missing = TriggerError::Field { within: "CloudWatch Logs event", expected: "awslogs.data to be a string" };
        return event.object("awslogs").and_then(|logs| logs.string("data")).map(Shape::Logs).ok_or(missing);
    }
    if event.has("bucket") && event.has("key") {
        return object::of_replay(&event).map(|object| Shape::Objects(vec![object]));
    }
    let kind = event.string("detail-type").map_or(String::new(), |kind| format!(", detail-type {kind:.80}"));
    Err(unknown(event.keys() + &kind))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    S3,
    Sqs,
    Sns,
    CloudTrail,
    /// A record of some other service.
    Other,
    /// Nothing that tells; among CloudTrail's it is a malformed record.
    Silent,
}

fn of_records<'a>(records: &[&'a RawValue]) -> Result<Shape<'a>, TriggerError> {
    let members: Vec<Option<Members<'a>>> = records.iter().map(|record| Members::of(record)).collect();
    let kinds: Vec<Kind> = members.iter().map(|record| record.as_ref().map_or(Kind::Silent, kind)).collect();
    let all = |kind: Kind| kinds.iter().all(|own| *own == kind);
    let only = |members: Vec<Option<Members<'a>>>| members.into_iter().flatten().collect();

    if kinds.is_empty() {
        Ok(Shape::Records(records_json([])))
    } else if all(Kind::S3) {
        members.iter().flatten().map(object::of_notification).collect::<Result<_, _>>().map(Shape::Objects)
    } else if all(Kind::Sqs) {
        Ok(Shape::Sqs(only(members)))
    } else if all(Kind::Sns) {
        Ok(Shape::Sns(only(members)))
    } else if kinds.contains(&Kind::CloudTrail)
        && kinds.iter().all(|own| matches!(own, Kind::CloudTrail | Kind::Silent))
    {
        Ok(Shape::Records(records_json(records.iter().copied())))
    } else {
        let first = members.into_iter().zip(kinds).find(|(_, kind)| matches!(kind, Kind::Other | Kind::Silent));
        let seen = match first {
            Some((Some(record), _)) => {
                let source =
                    record.string("eventSource").map_or(String::new(), |own| format!(", eventSource {own:.80}"));
                format!("Records holding {}{source}", record.keys())
            }
            Some((None, _)) => "Records holding something that is no object".to_owned(),
            None => "Records of several services".to_owned(),
        };
        Err(TriggerError::Unknown { seen })
    }
}

fn kind(record: &Members<'_>) -> Kind {
    match (record.string("eventSource").as_deref(), record.string("EventSource").as_deref()) {
        (Some("aws:s3"), _) => Kind::S3,
        (Some("aws:sqs"), _) => Kind::Sqs,
        (_, Some("aws:sns")) => Kind::Sns,
        (Some(source), _) | (None, Some(source)) if source.contains(':') => Kind::Other,
        _ if ["eventVersion", "eventSource", "eventName", "eventID", "eventTime"].iter().any(|key| record.has(key)) => {
            Kind::CloudTrail
        }
        _ => Kind::Silent,
    }
}
