//! A download as a metering record, and the record as a line: the only place that knows `|`.
//!
//! `userId|collectionId|itemId|timestamp|bytes|backend`. The resource server refuses a whole batch for one bad line, so
//! each type here can only hold what it accepts.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::event::Backend;

/// Why a field cannot stand in a metering record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Not exactly six fields between pipes.
    #[error("expected 6 fields between pipes, found {0}")]
    Fields(usize),
    /// The user or collection is no UUID.
    #[error("{0}: expected a UUID of 36 characters with hyphens")]
    Uuid(&'static str),
    /// The item is blank or has a pipe or a control character in it.
    #[error("item id: expected text without pipes and control characters")]
    Item,
    /// The time is not UTC in the one accepted form, or no such time exists.
    #[error("timestamp: expected a UTC time as YYYY-MM-DDTHH:MM:SSZ with at most 9 fraction digits")]
    Time,
    /// The byte count is not an exact whole number in range.
    #[error("bytes: expected a whole number from 0 to 9223372036854775807")]
    Bytes,
    /// Neither `aws_s3` nor `minio`.
    #[error("backend: expected aws_s3 or minio")]
    Backend,
}

/// Reads a UUID as the resource server must see it: 36 characters with hyphens, any case.
///
/// # Errors
/// [`FieldError::Uuid`] naming `field`.
pub fn parse_uuid(text: &str, field: &'static str) -> Result<Uuid, FieldError> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }.ok_or(FieldError::Uuid(field))
}

/// An item's id: any text that is not blank and has neither pipe nor control character (U+0000–1F, U+007F–9F).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ItemId(String);

impl TryFrom<String> for ItemId {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, FieldError> {
        let blank = text.bytes().all(|byte| byte <= b' ');
        let refused = text.chars().any(|char| char == '|' || char.is_control());
        if blank || refused { Err(FieldError::Item) } else { Ok(Self(text)) }
    }
}

impl From<ItemId> for String {
    fn from(item: ItemId) -> Self {
        item.0
    }
}

impl AsRef<str> for ItemId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A time in UTC, kept as it was written: `YYYY-MM-DDTHH:MM:SS`, up to 9 fraction digits, `Z`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UtcTime(String);

impl TryFrom<String> for UtcTime {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, FieldError> {
        if is_utc_time(&text) { Ok(Self(text)) } else { Err(FieldError::Time) }
    }
}

impl From<UtcTime> for String {
    fn from(time: UtcTime) -> Self {
        time.0
    }
}

impl AsRef<str> for UtcTime {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Year 0 is refused with the rest: PostgreSQL has none, so the whole batch would fail on it again and again.
fn is_utc_time(text: &str) -> bool {
    let pattern = b"dddd-dd-ddTdd:dd:dd";
    let Some((whole, fraction)) = text.strip_suffix('Z').and_then(|text| text.split_at_checked(pattern.len())) else {
        return false;
    };
    let shaped = whole.bytes().zip(pattern).all(|(byte, &shape)| match shape {
        b'd' => byte.is_ascii_digit(),
        other => byte == other,
    });
    let fraction_ok = match fraction.strip_prefix('.') {
        Some(digits) => (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => fraction.is_empty(),
    };
    let number = |range: std::ops::Range<usize>| whole.get(range).and_then(|digits| digits.parse::<i16>().ok());
    // By numbers, not by jiff's reader of text: this is done for every download, twice.
    let date = |year, month, day| {
        let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        jiff::civil::Date::new(year, month, day).ok()
    };
    let exists = || -> Option<bool> {
        date(number(0..4)?, number(5..7)?, number(8..10)?)?;
        Some(number(0..4)? > 0 && number(11..13)? < 24 && number(14..16)? < 60 && number(17..19)? < 60)
    };
    shaped && fraction_ok && exists() == Some(true)
}

/// Reads a byte count by its exact decimal text: an integer from 0 to 2⁶³−1, or a form with fraction or exponent that is
/// exactly a whole number up to 2⁵³. Negative zero and all else is refused, never rounded.
///
/// # Errors
/// [`FieldError::Bytes`].
pub fn parse_bytes(number: &str) -> Result<u64, FieldError> {
    exact_whole(number).ok_or(FieldError::Bytes)
}

fn exact_whole(number: &str) -> Option<u64> {
    const LARGEST: u64 = i64::MAX as u64;
    const LARGEST_EXACT_FLOAT: u64 = 1 << 53;
    if !number.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    if number.bytes().all(|byte| byte.is_ascii_digit()) {
        return number.parse().ok().filter(|&bytes| bytes <= LARGEST);
    }
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return exponent_is_number(exponent).then_some(0);
    }
    // significant × 10^power, where power may be negative only for a number that is not whole.
    let shift = i128::try_from(digits.len() - significant.len()).ok()? - i128::try_from(fraction.len()).ok()?;
    let power = i128::from(exponent.parse::<i64>().ok()?) + shift;
    let scale = 10_u64.checked_pow(u32::try_from(power).ok()?)?;
    significant.parse::<u64>().ok()?.checked_mul(scale).filter(|&bytes| bytes <= LARGEST_EXACT_FLOAT)
}

/// An exponent too large for any integer type still multiplies zero to zero.
fn exponent_is_number(exponent: &str) -> bool {
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// What is billed: who read how many bytes of what, when, from where.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MeteringRecord {
    /// Who downloaded.
    pub user_id: Uuid,
    /// From which STAC collection.
    pub collection_id: Uuid,
    /// Which STAC item.
    pub item_id: ItemId,
    /// When.
    pub timestamp: UtcTime,
    /// Bytes sent, at most 2⁶³−1.
    pub bytes: u64,
    /// From which storage.
    pub backend: Backend,
}

/// A record's fields under the names of its parameters: how it stands in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields<'a> {
    user_id: Uuid,
    collection_id: Uuid,
    item_id: Cow<'a, ItemId>,
    timestamp: Cow<'a, UtcTime>,
    bytes: u64,
    backend: Backend,
}

impl MeteringRecord {
    /// The record as it stands in JSON.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        let Self { user_id, collection_id, item_id, timestamp, bytes, backend } = self;
        Fields {
            user_id: *user_id,
            collection_id: *collection_id,
            item_id: Cow::Borrowed(item_id),
            timestamp: Cow::Borrowed(timestamp),
            bytes: *bytes,
            backend: *backend,
        }
    }
}

impl From<Fields<'_>> for MeteringRecord {
    fn from(fields: Fields<'_>) -> Self {
        let Fields { user_id, collection_id, item_id, timestamp, bytes, backend } = fields;
        let (item_id, timestamp) = (item_id.into_owned(), timestamp.into_owned());
        Self { user_id, collection_id, item_id, timestamp, bytes, backend }
    }
}

impl fmt::Display for MeteringRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user_id, collection_id, item_id, timestamp, bytes, backend } = self;
        write!(f, "{user_id}|{collection_id}|{}|{}|{bytes}|{}", item_id.0, timestamp.0, backend.name())
    }
}

impl std::str::FromStr for MeteringRecord {
    type Err = FieldError;

    fn from_str(line: &str) -> Result<Self, FieldError> {
        let fields: Vec<&str> = line.split('|').collect();
        let [user, collection, item, time, bytes, backend] = fields[..] else {
            return Err(FieldError::Fields(fields.len()));
        };
        let bytes = if bytes.bytes().all(|byte| byte.is_ascii_digit()) {
            parse_bytes(bytes)?
        } else {
            return Err(FieldError::Bytes);
        };
        Ok(Self {
            user_id: parse_uuid(user, "user id")?,
            collection_id: parse_uuid(collection, "collection id")?,
            item_id: item.to_owned().try_into()?,
            timestamp: time.to_owned().try_into()?,
            bytes,
            backend: match backend {
                "aws_s3" => Backend::AwsS3,
                "minio" => Backend::Minio,
                _ => return Err(FieldError::Backend),
            },
        })
    }
}

/// A download to be billed once: the record, what makes it the same download elsewhere, and where it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Download {
    /// What makes two records one download, unique within the record's backend.
    pub identity: String,
    /// What is billed.
    pub record: MeteringRecord,
    /// `s3://BUCKET/KEY` or `request:ID`.
    pub origin: Arc<str>,
    /// Number of the record within its origin, from 1.
    pub number: u64,
}

impl Download {
    /// Where the record stands: `ORIGIN#N`.
    #[must_use]
    pub fn source(&self) -> String {
        format!("{}#{}", self.origin, self.number)
    }

    /// The ledger's key for metering this download.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::new("metering", self.record.backend, &self.identity)
    }
}

/// What the ledger knows a download by: 128 bits of a SHA-256, so that no identity is kept and none can be made to collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key(pub [u8; 16]);

impl Key {
    /// The key of `identity` within `purpose` (`metering`, `analytics`), which keep separate entries.
    #[must_use]
    pub fn new(purpose: &str, backend: Backend, identity: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(purpose)
            .chain_update([0])
            .chain_update(backend.name())
            .chain_update([0])
            .chain_update(identity)
            .finalize();
        let mut key = [0; 16];
        key.iter_mut().zip(digest).for_each(|(own, byte)| *own = byte);
        Self(key)
    }

    /// Thirty-two hexadecimal digits, for stores that keep text.
    #[must_use]
    pub fn to_hex(self) -> String {
        Uuid::from_bytes(self.0).simple().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn byte_counts_are_judged_by_their_exact_text() {
        for (text, bytes) in [
            ("0", 0),
            ("9223372036854775807", i64::MAX as u64),
            ("2356.0", 2356),
            ("1e3", 1000),
            ("1.50e1", 15),
            ("1200E-2", 12),
            ("0.0", 0),
            ("0e999999999999999999999", 0),
            ("9007199254740992.0", 1 << 53),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in [
            "-0",
            "-0.0",
            "-1",
            "1.5",
            "1e-1",
            "9223372036854775808",
            "9007199254740993.0",
            "1e400",
            "",
            "NaN",
            "+1",
            "1e999999999999999999999",
        ] {
            assert_eq!(parse_bytes(text), Err(FieldError::Bytes), "{text}");
        }
    }

    #[test]
    fn times_are_utc_and_exist() {
        for time in
            ["2025-10-27T10:12:30Z", "2024-02-29T00:00:00Z", "2026-07-14T04:42:23.260863964Z", "0001-01-01T00:00:00.0Z"]
        {
            assert!(UtcTime::try_from(time.to_owned()).is_ok(), "{time}");
        }
        for time in [
            "2025-10-27T10:12:30",
            "2025-10-27T10:12:30+00:00",
            "2025-10-27 10:12:30Z",
            "2025-10-27t10:12:30z",
            "2025-02-29T00:00:00Z",
            "2025-10-27T24:00:00Z",
            "2025-10-27T10:12:60Z",
            "2025-10-27T10:12:30.Z",
            "2025-10-27T10:12:30.1234567890Z",
            "0000-01-01T00:00:00Z",
            "+2025-10-27T10:12:30Z",
            "2025-10-27T10:12:30Zé",
            "",
        ] {
            assert_eq!(UtcTime::try_from(time.to_owned()), Err(FieldError::Time), "{time}");
        }
    }

    #[test]
    fn items_keep_their_text() {
        for item in [" a b ", "ä/ö", "a,b", "\u{a0}"] {
            assert_eq!(ItemId::try_from(item.to_owned()).unwrap().as_ref(), item);
        }
        for item in ["", " ", "a|b", "a\nb", "a\u{7f}", "a\u{85}b"] {
            assert_eq!(ItemId::try_from(item.to_owned()), Err(FieldError::Item), "{item:?}");
        }
    }

    prop_compose! {
        fn records()(
            user in any::<u128>(), collection in any::<u128>(), item in "[^|\\pC]*[!-{][^|\\pC]*",
            second in -62_135_596_800_i64..253_402_207_200, nanos in 0_i32..1_000_000_000,
            bytes in 0..=i64::MAX as u64, minio in any::<bool>(),
        ) -> MeteringRecord {
            MeteringRecord {
                user_id: Uuid::from_u128(user),
                collection_id: Uuid::from_u128(collection),
                item_id: item.try_into().unwrap(),
                timestamp: jiff::Timestamp::new(second, nanos).unwrap().to_string().try_into().unwrap(),
                bytes,
                backend: if minio { Backend::Minio } else { Backend::AwsS3 },
            }
        }
    }

    proptest! {
        #[test]
        fn a_line_reads_back_as_its_record(record in records()) {
            prop_assert_eq!(record.to_string().parse::<MeteringRecord>().unwrap(), record);
        }

        #[test]
        fn any_line_parses_or_fails_cleanly(line in any::<String>()) {
            if let Ok(record) = line.parse::<MeteringRecord>() {
                prop_assert_eq!(record.to_string().to_lowercase(), line.to_lowercase());
            }
        }

        #[test]
        fn whole_floats_are_exact(bytes in 0..=1_u64 << 53, zeros in 0..4_usize) {
            prop_assert_eq!(parse_bytes(&format!("{bytes}.{}", "0".repeat(zeros + 1))), Ok(bytes));
            prop_assert_eq!(parse_bytes(&format!("{bytes}e0")), Ok(bytes));
        }
    }
}
