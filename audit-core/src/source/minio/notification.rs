//! Bucket notifications, and RustFS's envelopes around audit entries: known by `EventName` and `Records`. They carry no
//! bytes sent and no query, so there is nothing to meter in them; who read what is there.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::entry::{Fields, Malformed, identity, members, text};
use crate::event::{AccessEvent, Backend, Ids, Operation, Presigned, Value, Visit};
use crate::json::{Cursor, Kind, SyntaxError};

/// The event of a notification; `None` for everything else.
pub(super) fn event<'a>(entry: &Fields<'a>) -> Result<Option<AccessEvent<'a>>, Malformed> {
    let (Some(name), Some(records)) = (text(entry.event_name)?, entry.records) else { return Ok(None) };
    if Cursor::new(records).kind()? != Kind::Array {
        return Ok(None);
    }
    let record = Record::read(first(records)?)?;
    let notified_get = name == "s3:ObjectAccessed:Get";
    let parts = [record.deployment, record.request, record.bucket, record.object];
    Ok(Some(AccessEvent {
        backend: Backend::Minio,
        operation: Operation::Notification,
        presigned: Presigned::No,
        succeeded: notified_get,
        ids: Ids::default(),
        bytes: Value::Absent,
        time: text(record.time)?.map_or(Value::Absent, Value::of_text),
        updates_earlier: false,
        // What nobody bills by cannot make an entry malformed.
        identity: notified_identity(parts).unwrap_or_default(),
        visit: record.visit(notified_get)?,
    }))
}

/// The identity that the audit entry of the same request has: there, the key is not query-escaped.
fn notified_identity([deployment, request, bucket, object]: [Option<&[u8]>; 4]) -> Result<Option<String>, Malformed> {
    let Some(key) = text(object)?.and_then(|key| unescaped(&key)) else { return Ok(None) };
    let key = serde_json::to_vec(&key).unwrap_or_default();
    identity([deployment, request, bucket, Some(&key)])
}

fn first(records: &[u8]) -> Result<Option<&[u8]>, SyntaxError> {
    let mut first = None;
    Cursor::new(records).array(|cursor| {
        let record = cursor.skip()?;
        first.get_or_insert(record);
        Ok::<_, SyntaxError>(())
    })?;
    Ok(first)
}

#[derive(Default)]
struct Record<'a> {
    time: Option<&'a [u8]>,
    deployment: Option<&'a [u8]>,
    request: Option<&'a [u8]>,
    bucket: Option<&'a [u8]>,
    object: Option<&'a [u8]>,
    address: Option<&'a [u8]>,
    user_agent: Option<&'a [u8]>,
    access_key: Option<&'a [u8]>,
}

impl<'a> Record<'a> {
    fn read(raw: Option<&'a [u8]>) -> Result<Self, SyntaxError> {
        let parameters = member(raw, "requestParameters")?;
        let response = member(raw, "responseElements")?;
        let s3 = member(raw, "s3")?;
        Ok(Self {
            time: member(raw, "eventTime")?,
            deployment: member(response, "x-minio-deployment-id")?,
            request: member(response, "x-amz-request-id")?,
            bucket: member(member(s3, "bucket")?, "name")?,
            object: member(member(s3, "object")?, "key")?,
            address: member(parameters, "sourceIPAddress")?,
            user_agent: member(member(raw, "source")?, "userAgent")?,
            access_key: member(member(raw, "userIdentity")?, "principalId")?,
        })
    }

    fn visit(&self, notified_get: bool) -> Result<Visit<'a>, SyntaxError> {
        Ok(Visit {
            bucket: text(self.bucket)?,
            key: text(self.object)?.and_then(|key| unescaped(&key)).map(Cow::Owned),
            client_address: text(self.address)?,
            user_agent: text(self.user_agent)?,
            access_key: text(self.access_key)?,
            notified_get,
        })
    }
}

fn member<'a>(raw: Option<&'a [u8]>, name: &str) -> Result<Option<&'a [u8]>, SyntaxError> {
    let mut found = None;
    members(raw, |key, value| {
        if key.is(name) {
            found = Some(value);
        }
    })?;
    Ok(found)
}

/// A key as it is in the bucket: `+` is a space, then percent-decoded.
fn unescaped(key: &str) -> Option<String> {
    percent_decode_str(&key.replace('+', " ")).decode_utf8().ok().map(Cow::into_owned)
}
