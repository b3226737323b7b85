//! One audit entry → [`AccessEvent`].

use std::borrow::Cow;

use super::notification;
use crate::event::{AccessEvent, Backend, IdParams, Ids, Operation, Presigned, Value, Visit};
use crate::json::{Cursor, Kind, NotText, Str, SyntaxError};
use crate::record::parse_bytes;

/// Why an entry cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Its grammar is broken.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A field that is needed is not UTF-8.
    #[error("expected UTF-8 in {0}")]
    InvalidUtf8(&'static str),
}

/// Reads one entry: the JSON text of an object.
///
/// # Errors
/// [`Malformed`] when it is no such text, or a presigned `GetObject` with a field in it that is read and not UTF-8.
pub fn event<'a>(raw: &'a [u8], params: &IdParams) -> Result<AccessEvent<'a>, Malformed> {
    let entry = Fields::read(raw)?;
    if let Some(event) = notification::event(&entry)? {
        return Ok(event);
    }
    let api = Api::read(entry.api)?;
    let presigned = presigned(&entry)?;
    let operation = match trigger(entry.trigger)? {
        Trigger::Incoming if is_string(api.name, "GetObject")? => Operation::GetObject,
        Trigger::Incoming => Operation::Other,
        Trigger::NotIncoming => Operation::NotIncoming,
    };
    let mut event = AccessEvent {
        backend: Backend::Minio,
        operation,
        presigned,
        succeeded: matches!(number(api.status_code), Some(200 | 206)),
        ids: Ids::default(),
        bytes: Value::Absent,
        time: Value::Absent,
        updates_earlier: false,
        identity: None,
        visit: visit(&entry, &api)?,
    };
    // Nobody needs to know more of a record that is no presigned GetObject, whatever stands in it.
    let presigned = presigned != Presigned::No;
    event.identity = match identity([entry.deployment, entry.request, api.bucket, api.object]) {
        Err(_) if operation != Operation::GetObject || !presigned => None,
        identity => identity?,
    };
    if operation == Operation::GetObject && presigned {
        event.ids = ids(entry.query, params)?;
        event.bytes = value(api.tx, "api.tx")?;
        event.time = value(entry.time, "time")?;
    } else if operation == Operation::GetObject {
        // The dashboard may want to know; nobody bills by it.
        event.bytes = value(api.tx, "api.tx").unwrap_or_default();
        event.time = value(entry.time, "time").unwrap_or_default();
    }
    Ok(event)
}

/// The JSON text of the fields that are read, each the last of its name.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) api: Option<&'a [u8]>,
    pub(super) event_name: Option<&'a [u8]>,
    pub(super) records: Option<&'a [u8]>,
    trigger: Option<&'a [u8]>,
    time: Option<&'a [u8]>,
    deployment: Option<&'a [u8]>,
    request: Option<&'a [u8]>,
    query: Option<&'a [u8]>,
    header: Option<&'a [u8]>,
    remote: Option<&'a [u8]>,
    user_agent: Option<&'a [u8]>,
    access_key: Option<&'a [u8]>,
    request_path: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn read(raw: &'a [u8]) -> Result<Self, SyntaxError> {
        let mut own = Self::default();
        let mut cursor = Cursor::new(raw);
        cursor.object(|key, cursor| {
            let value = cursor.skip()?;
            if let Some(field) = own.field(key) {
                *field = Some(value);
            }
            Ok::<_, SyntaxError>(())
        })?;
        cursor.end()?;
        Ok(own)
    }

    fn field(&mut self, key: Str<'_>) -> Option<&mut Option<&'a [u8]>> {
        let fields = [
            ("api", &mut self.api),
            ("EventName", &mut self.event_name),
            ("Records", &mut self.records),
            ("trigger", &mut self.trigger),
            ("time", &mut self.time),
            ("deploymentid", &mut self.deployment),
            ("requestID", &mut self.request),
            ("requestQuery", &mut self.query),
            ("requestHeader", &mut self.header),
            ("remotehost", &mut self.remote),
            ("userAgent", &mut self.user_agent),
            ("accessKey", &mut self.access_key),
            ("requestPath", &mut self.request_path),
        ];
        fields.into_iter().find(|(name, _)| key.is(name)).map(|(_, field)| field)
    }
}

#[derive(Default)]
struct Api<'a> {
    name: Option<&'a [u8]>,
    bucket: Option<&'a [u8]>,
    object: Option<&'a [u8]>,
    status_code: Option<&'a [u8]>,
    tx: Option<&'a [u8]>,
}

impl<'a> Api<'a> {
    fn read(raw: Option<&'a [u8]>) -> Result<Self, SyntaxError> {
        let mut own = Self::default();
        members(raw, |key, value| {
            let fields = [
                ("name", &mut own.name),
                ("bucket", &mut own.bucket),
                ("object", &mut own.object),
                ("statusCode", &mut own.status_code),
                ("tx", &mut own.tx),
            ];
            if let Some((_, field)) = fields.into_iter().find(|(name, _)| key.is(name)) {
                *field = Some(value);
            }
        })?;
        Ok(own)
    }
}

/// How the request was signed, as far as MinIO looked at it.
///
/// It takes a request for what its parameters say, and looks at no others: with `AWSAccessKeyId` it verifies the older signature, and
/// without `X-Amz-Credential` a request without headers of its own is anonymous. So whoever may read an object in one of these ways
/// can write `X-Amz-Signature` beside any ids.
fn presigned(entry: &Fields<'_>) -> Result<Presigned, SyntaxError> {
    let (mut v4, mut v2, mut key_of_v2, mut credential) = (None, None, None, None);
    members(entry.query, |key, value| {
        let fields = [
            ("X-Amz-Signature", &mut v4),
            ("Signature", &mut v2),
            ("AWSAccessKeyId", &mut key_of_v2),
            ("X-Amz-Credential", &mut credential),
        ];
        if let Some((_, field)) = fields.into_iter().find(|(name, _)| key.is(name)) {
            *field = Some(value);
        }
    })?;
    // Releases that tell the path also tell the access key of whoever had one.
    let anonymous = !is_present(credential)? && !is_present(entry.access_key)? && is_present(entry.request_path)?;
    Ok(if is_present(v4)? {
        if anonymous || is_present(key_of_v2)? { Presigned::SigV2 } else { Presigned::SigV4 }
    } else if is_present(v2)? {
        Presigned::SigV2
    } else {
        Presigned::No
    })
}

fn ids<'a>(query: Option<&'a [u8]>, params: &IdParams) -> Result<Ids<'a>, Malformed> {
    let mut ids = Ids::default();
    let mut broken = None;
    members(query, |key, json| {
        // A key that is no text is none of the names.
        let Ok(key) = key.text() else { return };
        if let Some(spellings) = params.slot(&mut ids, key.as_bytes()) {
            match value(Some(json), "requestQuery") {
                Ok(value) => spellings.offer(key, value),
                Err(error) => broken = Some(error),
            }
        }
    })?;
    broken.map_or(Ok(ids), Err)
}

enum Trigger {
    Incoming,
    NotIncoming,
}

fn trigger(raw: Option<&[u8]>) -> Result<Trigger, SyntaxError> {
    let incoming = !is_present(raw)? || is_string(raw, "incoming")?;
    Ok(if incoming { Trigger::Incoming } else { Trigger::NotIncoming })
}

fn visit<'a>(entry: &Fields<'a>, api: &Api<'a>) -> Result<Visit<'a>, SyntaxError> {
    let user_agent = match text(entry.user_agent)? {
        Some(user_agent) => Some(user_agent),
        None => header(entry.header, "User-Agent")?,
    };
    Ok(Visit {
        bucket: text(api.bucket)?,
        key: text(api.object)?,
        client_address: text(entry.remote)?.map(without_brackets),
        user_agent,
        access_key: text(entry.access_key)?,
        notified_get: false,
    })
}

/// The text of header `name`, in any case.
fn header<'a>(headers: Option<&'a [u8]>, name: &str) -> Result<Option<Cow<'a, str>>, SyntaxError> {
    let mut found = None;
    members(headers, |key, value| {
        if key.text().is_ok_and(|key| key.eq_ignore_ascii_case(name)) {
            found = Some(value);
        }
    })?;
    text(found)
}

/// An IPv6 address comes as `[::1]`.
pub(super) fn without_brackets(address: Cow<'_, str>) -> Cow<'_, str> {
    match address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => Cow::Owned(inner.to_owned()),
        None => address,
    }
}

/// What tells one request from every other, as one text that no other four parts give: all are there and are strings, or
/// there is no identity. The last part is the object's key, so its slashes may stand as they are.
pub(super) fn identity(parts: [Option<&[u8]>; 4]) -> Result<Option<String>, Malformed> {
    let mut identity = String::new();
    for (number, raw) in parts.into_iter().enumerate() {
        let Some(raw) = raw else { return Ok(None) };
        let mut cursor = Cursor::new(raw);
        if cursor.kind()? != Kind::String {
            return Ok(None);
        }
        let part = match cursor.string()?.text() {
            Ok(part) => part.replace('%', "%25"),
            Err(NotText::InvalidUtf8) => return Err(Malformed::InvalidUtf8("the request's identity")),
            // Such a string is no Unicode text, but it is the same in every copy of the entry.
            Err(NotText::LoneSurrogate) => format!("%u{}", String::from_utf8_lossy(raw).replace('%', "%25")),
        };
        if part.bytes().all(|byte| byte <= b' ') {
            return Ok(None);
        }
        if number > 0 {
            identity.push('/');
        }
        identity.push_str(&if number < 3 { part.replace('/', "%2F") } else { part });
    }
    Ok(Some(identity))
}

/// Walks an object's members; anything else has none.
pub(super) fn members<'a>(raw: Option<&'a [u8]>, mut member: impl FnMut(Str<'a>, &'a [u8])) -> Result<(), SyntaxError> {
    let mut cursor = Cursor::new(raw.unwrap_or(b"null"));
    if cursor.kind()? != Kind::Object {
        return Ok(());
    }
    cursor.object(|key, cursor| {
        member(key, cursor.skip()?);
        Ok(())
    })
}

fn value<'a>(raw: Option<&'a [u8]>, field: &'static str) -> Result<Value<'a>, Malformed> {
    let Some(raw) = raw else { return Ok(Value::Absent) };
    let mut cursor = Cursor::new(raw);
    match cursor.kind()? {
        Kind::Null => Ok(Value::Absent),
        Kind::String => match cursor.string()?.text() {
            Ok(text) => Ok(Value::of_text(text)),
            Err(NotText::InvalidUtf8) => Err(Malformed::InvalidUtf8(field)),
            Err(NotText::LoneSurrogate) => Ok(Value::NotText(Cow::Borrowed(raw))),
        },
        Kind::Object | Kind::Array | Kind::Number | Kind::True | Kind::False => Ok(Value::NotText(Cow::Borrowed(raw))),
    }
}

/// Text that nobody bills by: absent where it is none.
pub(super) fn text(raw: Option<&[u8]>) -> Result<Option<Cow<'_, str>>, SyntaxError> {
    let mut cursor = Cursor::new(raw.unwrap_or(b"null"));
    if cursor.kind()? != Kind::String {
        return Ok(None);
    }
    let text = cursor.string()?.text().ok();
    Ok(text.filter(|text| text.bytes().any(|byte| byte > b' ')))
}

/// Whether there is a value: neither null nor blank.
fn is_present(raw: Option<&[u8]>) -> Result<bool, SyntaxError> {
    let mut cursor = Cursor::new(raw.unwrap_or(b"null"));
    Ok(match cursor.kind()? {
        Kind::Null => false,
        Kind::String => cursor.string()?.text().map_or(true, |text| text.bytes().any(|byte| byte > b' ')),
        Kind::Object | Kind::Array | Kind::Number | Kind::True | Kind::False => true,
    })
}

fn is_string(raw: Option<&[u8]>, text: &str) -> Result<bool, SyntaxError> {
    let mut cursor = Cursor::new(raw.unwrap_or(b"null"));
    Ok(cursor.kind()? == Kind::String && cursor.string()?.is(text))
}

/// A whole number, compared as a number: `200.0` is 200, and a string never is.
pub(super) fn number(raw: Option<&[u8]>) -> Option<u64> {
    std::str::from_utf8(raw?).ok().and_then(|text| parse_bytes(text).ok())
}
