//! One record into an access event, in one pass that also checks its grammar.

use std::borrow::Cow;

use crate::event::{AccessEvent, Backend, IdParams, Ids, Operation, Presigned, Value, Visit};
use crate::json::{Cursor, Kind, NotText, Str, SyntaxError};
use crate::record::parse_bytes;

/// What a record tells, of duplicate keys the last.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    source: Field<'a>,
    name: Field<'a>,
    category: Field<'a>,
    management: bool,
    error: Field<'a>,
    time: Field<'a>,
    event_id: Field<'a>,
    shared_event_id: Field<'a>,
    addendum_reason: Field<'a>,
    request: Request<'a>,
    transfer: Transfer<'a>,
    client_address: Field<'a>,
    user_agent: Field<'a>,
    access_key: Field<'a>,
}

/// `requestParameters`.
#[derive(Debug, Default)]
struct Request<'a> {
    ids: Ids<'a>,
    ids_not_utf8: bool,
    sigv4_expires: Field<'a>,
    sigv2_expires: Field<'a>,
    bucket: Field<'a>,
    key: Field<'a>,
}

/// `additionalEventData`.
#[derive(Debug, Default)]
struct Transfer<'a> {
    authentication: Field<'a>,
    status: Field<'a>,
    bytes: Field<'a>,
}

/// A value that is read, and whether it is a string that is not UTF-8.
#[derive(Debug, Default)]
struct Field<'a> {
    value: Value<'a>,
    not_utf8: bool,
}

impl<'a> Field<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, SyntaxError> {
        let value = match cursor.kind()? {
            Kind::String => {
                let string = cursor.string()?;
                match string.text() {
                    Ok(text) => Value::of_text(text),
                    Err(reason) => {
                        let value = Value::NotText(Cow::Borrowed(string.raw()));
                        return Ok(Self { value, not_utf8: reason == NotText::InvalidUtf8 });
                    }
                }
            }
            Kind::Null => {
                cursor.skip()?;
                Value::Absent
            }
            Kind::Object | Kind::Array | Kind::Number | Kind::True | Kind::False => {
                Value::NotText(Cow::Borrowed(cursor.skip()?))
            }
        };
        Ok(Self { value, not_utf8: false })
    }

    fn is(&self, text: &str) -> bool {
        self.value.text() == Some(text)
    }

    fn is_present(&self) -> bool {
        self.value.is_present()
    }

    fn into_text(self) -> Option<Cow<'a, str>> {
        match self.value {
            Value::Text(text) => Some(text),
            Value::Absent | Value::NotText(_) => None,
        }
    }
}

impl<'a> Fields<'a> {
    /// Reads the record before `cursor`, an object; what serves analytics alone only when `visits` are wanted.
    pub(super) fn read(mut cursor: Cursor<'a>, params: &IdParams, visits: bool) -> Result<Self, SyntaxError> {
        let mut own = Self::default();
        cursor.object(|key, value| {
            match &*name_of(key) {
                b"eventSource" => own.source = Field::read(value)?,
                b"eventName" => own.name = Field::read(value)?,
                b"eventCategory" => own.category = Field::read(value)?,
                b"managementEvent" => {
                    own.management = value.kind()? == Kind::True;
                    value.skip()?;
                }
                b"errorCode" => own.error = Field::read(value)?,
                b"eventTime" => own.time = Field::read(value)?,
                b"eventID" => own.event_id = Field::read(value)?,
                b"sharedEventID" => own.shared_event_id = Field::read(value)?,
                b"addendum" => own.addendum_reason = member(value, "reason")?,
                b"requestParameters" => own.request = Request::read(value, params, visits)?,
                b"additionalEventData" => own.transfer = Transfer::read(value)?,
                b"sourceIPAddress" if visits => own.client_address = Field::read(value)?,
                b"userAgent" if visits => own.user_agent = Field::read(value)?,
                b"userIdentity" if visits => own.access_key = member(value, "accessKeyId")?,
                _ => {
                    value.skip()?;
                }
            }
            Ok::<(), SyntaxError>(())
        })?;
        cursor.end()?;
        Ok(own)
    }

    /// Whether a string that metering reads is not UTF-8.
    pub(super) fn not_utf8(&self) -> bool {
        let Self { source, name, category, error, time, event_id, shared_event_id, addendum_reason, .. } = self;
        let Request { sigv4_expires, sigv2_expires, ids_not_utf8, .. } = &self.request;
        let Transfer { authentication, status, bytes } = &self.transfer;
        *ids_not_utf8
            || [source, name, category, error, time, event_id, shared_event_id, addendum_reason]
                .into_iter()
                .chain([sigv4_expires, sigv2_expires, authentication, status, bytes])
                .any(|field| field.not_utf8)
    }

    /// The event.
    pub(super) fn into_event(self) -> AccessEvent<'a> {
        let is_get = self.source.is("s3.amazonaws.com")
            && self.name.is("GetObject")
            && (!self.category.is_present() || self.category.is("Data"))
            && !self.management;
        let presigned = if !self.transfer.authentication.is("QueryString") {
            Presigned::No
        } else if self.request.sigv4_expires.is_present() {
            Presigned::SigV4
        } else if self.request.sigv2_expires.is_present() {
            Presigned::SigV2
        } else {
            Presigned::No
        };
        AccessEvent {
            backend: Backend::AwsS3,
            operation: if is_get { Operation::GetObject } else { Operation::Other },
            presigned,
            succeeded: !self.error.is_present() && self.transfer.succeeded(),
            ids: self.request.ids,
            bytes: self.transfer.bytes.value,
            time: self.time.value,
            updates_earlier: self.addendum_reason.is("UPDATED_DATA"),
            identity: self.shared_event_id.into_text().or(self.event_id.into_text()).map(Cow::into_owned),
            visit: Visit {
                bucket: self.request.bucket.into_text(),
                key: self.request.key.into_text(),
                client_address: self.client_address.into_text(),
                user_agent: self.user_agent.into_text(),
                access_key: self.access_key.into_text(),
                notified_get: false,
            },
        }
    }
}

impl<'a> Request<'a> {
    fn read(cursor: &mut Cursor<'a>, params: &IdParams, visits: bool) -> Result<Self, SyntaxError> {
        let mut own = Self::default();
        if cursor.kind()? != Kind::Object {
            cursor.skip()?;
            return Ok(own);
        }
        cursor.object(|key, value| {
            let name = name_of(key);
            // An operator may name a parameter like one of these, so each is looked at for its own sake.
            if let Some(spellings) = params.slot(&mut own.ids, &name)
                && let Ok(spelling) = key.text()
            {
                let field = Field::read(&mut value.clone())?;
                own.ids_not_utf8 |= field.not_utf8;
                spellings.offer(spelling, field.value);
            }
            match &*name {
                b"X-Amz-Expires" => own.sigv4_expires = Field::read(value)?,
                b"Expires" => own.sigv2_expires = Field::read(value)?,
                b"bucketName" if visits => own.bucket = Field::read(value)?,
                b"key" if visits => own.key = Field::read(value)?,
                _ => {
                    value.skip()?;
                }
            }
            Ok::<(), SyntaxError>(())
        })?;
        Ok(own)
    }
}

impl<'a> Transfer<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, SyntaxError> {
        let mut own = Self::default();
        if cursor.kind()? != Kind::Object {
            cursor.skip()?;
            return Ok(own);
        }
        cursor.object(|key, value| {
            match &*name_of(key) {
                b"AuthenticationMethod" => own.authentication = Field::read(value)?,
                b"httpStatusCode" => own.status = Field::read(value)?,
                b"bytesTransferredOut" => own.bytes = Field::read(value)?,
                _ => {
                    value.skip()?;
                }
            }
            Ok::<(), SyntaxError>(())
        })?;
        Ok(own)
    }

    /// No status, or a number that is 200 or 206.
    fn succeeded(&self) -> bool {
        match &self.status.value {
            Value::Absent => true,
            Value::Text(_) => false,
            Value::NotText(json) => {
                std::str::from_utf8(json).is_ok_and(|json| matches!(parse_bytes(json), Ok(200 | 206)))
            }
        }
    }
}

/// The member `name` of an object; absent in anything else.
fn member<'a>(cursor: &mut Cursor<'a>, name: &str) -> Result<Field<'a>, SyntaxError> {
    let mut found = Field::default();
    if cursor.kind()? != Kind::Object {
        cursor.skip()?;
        return Ok(found);
    }
    cursor.object(|key, value| {
        if key.is(name) {
            found = Field::read(value)?;
        } else {
            value.skip()?;
        }
        Ok::<(), SyntaxError>(())
    })?;
    Ok(found)
}

/// A key's bytes, escapes resolved; empty for what is no text, as no field is called that.
fn name_of(key: Str<'_>) -> Cow<'_, [u8]> {
    match key.plain() {
        Some(plain) => Cow::Borrowed(plain),
        None => Cow::Owned(key.text().map(|text| text.into_owned().into_bytes()).unwrap_or_default()),
    }
}
