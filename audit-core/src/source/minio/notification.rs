//! Bucket notifications, and RustFS's envelopes around audit entries: known by `EventName` and `Records`. They carry no
//! bytes sent and no query, so there is nothing to meter in them; who read what is there.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::entry::{Fields, Malformed, identity, members, number, text, without_brackets};
use crate::event::{AccessEvent, Backend, Ids, Operation, Presigned, Value, Visit};
use crate::json::{Cursor, Kind, SyntaxError};

/// The event of a notification; `None` for everything else.
pub(super) fn event<'a>(entry: &Fields<'a>) -> Result<Option<AccessEvent<'a>>, Malformed> {
    let (Some(name), Some(records)) = (text(entry.event_name)?, entry.records) else { return Ok(None) };
    if Cursor::new(records).kind()? != Kind::Array {
        return Ok(None);
    }
    let raw = first(records)?;
    let (record, notified_get) = match member(raw, "api")? {
        None => (Record::read(raw)?, name == "s3:ObjectAccessed:Get"),
        Some(api) => Record::of_rustfs(raw, api)?,
    };
    Ok(Some(AccessEvent {
        backend: Backend::Minio,
        operation: Operation::Notification,
        presigned: Presigned::No,
        succeeded: notified_get,
        ids: Ids::default(),
        bytes: Value::Absent,
        time: time(record.time)?,
        updates_earlier: false,
        // What nobody bills by cannot make an entry malformed.
        identity: record.identity().unwrap_or_default(),
        visit: record.visit(notified_get)?,
    }))
}

/// RFC 3339 text, or RustFS's milliseconds as a number.
fn time(raw: Option<&[u8]>) -> Result<Value<'_>, SyntaxError> {
    match raw {
        Some(number) if Cursor::new(number).kind()? == Kind::Number => Ok(Value::NotText(Cow::Borrowed(number))),
        raw => Ok(text(raw)?.map_or(Value::Absent, Value::of_text)),
    }
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
    /// Whether the key is query-escaped.
    escaped: bool,
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
            address: address(parameters)?,
            user_agent: member(member(raw, "source")?, "userAgent")?,
            access_key: member(member(raw, "userIdentity")?, "principalId")?,
            escaped: true,
        })
    }

    /// Of a RustFS envelope, and whether it tells of a successful read with a body.
    fn of_rustfs(raw: Option<&'a [u8]>, api: &'a [u8]) -> Result<(Self, bool), SyntaxError> {
        let either =
            |one, other| member(raw, one).and_then(|own| own.map_or_else(|| member(raw, other), |own| Ok(Some(own))));
        let is_get = matches!(text(member(Some(api), "name")?)?.as_deref(), Some("s3:GetObject" | "GetObject"));
        let succeeded = matches!(number(member(Some(api), "status_code")?), Some(200 | 206));
        let own = Self {
            time: member(raw, "time")?,
            deployment: either("deploymentid", "deployment_id")?,
            request: either("requestID", "request_id")?,
            bucket: member(Some(api), "bucket")?,
            object: member(Some(api), "object")?,
            address: either("remotehost", "remote_host")?,
            user_agent: either("userAgent", "user_agent")?,
            access_key: either("accessKey", "access_key")?,
            escaped: false,
        };
        Ok((own, is_get && succeeded))
    }

    /// The identity that the audit entry of the same request has: there, the key is not query-escaped.
    fn identity(&self) -> Result<Option<String>, Malformed> {
        let Some(key) = self.key()? else { return Ok(None) };
        let key = serde_json::to_vec(&key).unwrap_or_default();
        identity([self.deployment, self.request, self.bucket, Some(&key)])
    }

    fn key(&self) -> Result<Option<Cow<'a, str>>, SyntaxError> {
        let key = text(self.object)?;
        Ok(if self.escaped { key.and_then(|key| unescaped(&key)).map(Cow::Owned) } else { key })
    }

    fn visit(&self, notified_get: bool) -> Result<Visit<'a>, SyntaxError> {
        Ok(Visit {
            bucket: text(self.bucket)?,
            key: self.key()?,
            client_address: text(self.address)?.map(first_of_list).map(without_brackets),
            user_agent: text(self.user_agent)?,
            access_key: text(self.access_key)?,
            notified_get,
        })
    }
}

/// Who asked, by a record's `requestParameters`. RustFS has no `sourceIPAddress` there, but the request's headers.
fn address(parameters: Option<&[u8]>) -> Result<Option<&[u8]>, SyntaxError> {
    for name in ["sourceIPAddress", "x-forwarded-for", "x-real-ip"] {
        let address = member(parameters, name)?;
        if text(address)?.is_some() {
            return Ok(address);
        }
    }
    Ok(None)
}

/// Each proxy adds whom it was asked by, so the client comes first.
fn first_of_list(addresses: Cow<'_, str>) -> Cow<'_, str> {
    match addresses.split_once(',') {
        Some((first, _proxies)) => Cow::Owned(first.trim().to_owned()),
        None => addresses,
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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde_json::{Value as Json, json};

    use super::super::entry;
    use crate::event::IdParams;

    fn address(parameters: &Json) -> Option<String> {
        let body = json!({"EventName": "s3:ObjectAccessed:Get", "Key": "stac/a.tif", "Records": [{
            "eventTime": "2026-07-14T04:42:23.260Z", "requestParameters": parameters,
            "s3": {"bucket": {"name": "stac"}, "object": {"key": "a.tif"}}}]})
        .to_string();
        let event = entry::event(body.as_bytes(), &IdParams::default()).unwrap();
        event.visit.client_address.map(Cow::into_owned)
    }

    #[test]
    fn without_an_address_of_its_own_a_notification_has_the_headers() {
        for (parameters, expected) in [
            (json!({"x-forwarded-for": "203.0.113.7, 10.0.0.1", "x-real-ip": "10.0.0.1"}), Some("203.0.113.7")),
            (json!({"x-forwarded-for": "203.0.113.7,10.0.0.1"}), Some("203.0.113.7")),
            (json!({"sourceIPAddress": " ", "x-forwarded-for": "[2001:db8::1], 10.0.0.1"}), Some("2001:db8::1")),
            (json!({"x-real-ip": "203.0.113.8", "x-forwarded-for": 7}), Some("203.0.113.8")),
            (json!({"sourceIPAddress": "203.0.113.9", "x-forwarded-for": "203.0.113.7"}), Some("203.0.113.9")),
            (json!({"range": "bytes=0-9"}), None),
        ] {
            assert_eq!(address(&parameters).as_deref(), expected, "{parameters}");
        }
    }
}
