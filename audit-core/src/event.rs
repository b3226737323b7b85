//! One read of one object, as every source tells it: no wire shapes, no I/O.

use std::borrow::Cow;

/// Where the object was read from; the last field of a metering record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// AWS S3, told by CloudTrail.
    AwsS3,
    /// MinIO, told by its audit webhook.
    Minio,
}

impl Backend {
    /// The name in a metering record.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AwsS3 => "aws_s3",
            Self::Minio => "minio",
        }
    }
}

/// A JSON value where text was expected. `null`, absent and blank (nothing but characters up to U+0020) are the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Value<'a> {
    /// Not there.
    #[default]
    Absent,
    /// A string with text in it.
    Text(Cow<'a, str>),
    /// Something else: its JSON text.
    NotText(Cow<'a, [u8]>),
}

impl<'a> Value<'a> {
    /// A string's value: absent when blank.
    #[must_use]
    pub fn of_text(text: Cow<'a, str>) -> Self {
        if text.bytes().all(|byte| byte <= b' ') { Self::Absent } else { Self::Text(text) }
    }

    /// Whether there is any value.
    #[must_use]
    pub fn is_present(&self) -> bool {
        *self != Self::Absent
    }

    /// The text, where it is text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::NotText(_) => None,
        }
    }
}

/// What was done to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `GetObject` by a client.
    GetObject,
    /// Anything else that a client asked for.
    Other,
    /// Work of the server's own (MinIO's `trigger` is not `incoming`).
    NotIncoming,
    /// A bucket notification or a relative of it: carries no bytes and no ids, so it can never be metered.
    Notification,
}

/// How the request was signed in its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presigned {
    /// It was not.
    No,
    /// Signature version 2, which signs no parameters of ours: anyone could have written the ids.
    SigV2,
    /// Signature version 4, which signs every parameter.
    SigV4,
}

/// The spellings of one id among the request's parameters: `userId`, `x-userId`, in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spellings<'a> {
    first: Option<(Cow<'a, str>, Value<'a>)>,
    others: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Spellings<'a> {
    /// Takes the value of one spelling. Of the same key written twice the last wins, as in any JSON object.
    pub fn offer(&mut self, key: Cow<'a, str>, value: Value<'a>) {
        match &mut self.first {
            None => self.first = Some((key, value)),
            Some((own, first)) if *own == key => *first = value,
            Some(_) => match self.others.iter_mut().find(|(own, _)| *own == key) {
                Some((_, other)) => *other = value,
                None => self.others.push((key, value)),
            },
        }
    }

    /// The values that are present, one a spelling.
    pub fn values(&self) -> impl Iterator<Item = &Value<'a>> {
        self.first.iter().chain(&self.others).map(|(_, value)| value).filter(|value| value.is_present())
    }
}

/// The ids that the presigned URL carried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids<'a> {
    /// Who downloaded.
    pub user: Spellings<'a>,
    /// From which STAC collection.
    pub collection: Spellings<'a>,
    /// Which STAC item.
    pub item: Spellings<'a>,
    /// Which asset of it.
    pub asset: Spellings<'a>,
}

/// The names of the parameters that carry the ids (`USER_ID_PARAM` and its siblings).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdParams {
    /// Default `userId`.
    pub user: String,
    /// Default `collectionId`.
    pub collection: String,
    /// Default `itemId`.
    pub item: String,
    /// Default `assetId`.
    pub asset: String,
}

impl Default for IdParams {
    fn default() -> Self {
        Self {
            user: "userId".into(),
            collection: "collectionId".into(),
            item: "itemId".into(),
            asset: "assetId".into(),
        }
    }
}

impl IdParams {
    /// Where the value of parameter `key` belongs, if it is one of the ids: the name itself or its `x-` form, in any case.
    pub fn slot<'s, 'a>(&self, ids: &'s mut Ids<'a>, key: impl AsRef<[u8]>) -> Option<&'s mut Spellings<'a>> {
        let key = key.as_ref();
        let rest = key.strip_prefix(b"x-").or(key.strip_prefix(b"X-"));
        let is = |name: &str| {
            let name = name.as_bytes();
            key.eq_ignore_ascii_case(name) || rest.is_some_and(|rest| rest.eq_ignore_ascii_case(name))
        };
        if is(&self.user) {
            Some(&mut ids.user)
        } else if is(&self.collection) {
            Some(&mut ids.collection)
        } else if is(&self.item) {
            Some(&mut ids.item)
        } else if is(&self.asset) {
            Some(&mut ids.asset)
        } else {
            None
        }
    }
}

/// One read of one object, or what a record told instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessEvent<'a> {
    /// Who told it.
    pub backend: Backend,
    /// What was done.
    pub operation: Operation,
    /// How the request was signed.
    pub presigned: Presigned,
    /// Answered with 200 or 206, and no error.
    pub succeeded: bool,
    /// The ids in the URL, not yet judged.
    pub ids: Ids<'a>,
    /// Bytes sent: a JSON number's text as [`Value::NotText`]; any other value is invalid.
    pub bytes: Value<'a>,
    /// When, as the record has it.
    pub time: Value<'a>,
    /// A correction of an earlier record (CloudTrail's `addendum.reason` is `UPDATED_DATA`).
    pub updates_earlier: bool,
    /// What makes two records one download; `None` where the record has nothing of the kind.
    pub identity: Option<String>,
    /// The rest of what is known of the request; nobody bills by it.
    pub visit: Visit<'a>,
}

/// Who read which object, for analytics. Each field as the record has it; none may reach a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visit<'a> {
    /// Bucket name.
    pub bucket: Option<Cow<'a, str>>,
    /// Object key, decoded.
    pub key: Option<Cow<'a, str>>,
    /// IP address, or what CloudTrail writes in its place.
    pub client_address: Option<Cow<'a, str>>,
    /// User-Agent; CloudTrail's square brackets still around it.
    pub user_agent: Option<Cow<'a, str>>,
    /// The access key that signed the request.
    pub access_key: Option<Cow<'a, str>>,
    /// Of [`Operation::Notification`] only: it tells of a successful read with a body (`s3:ObjectAccessed:Get` of MinIO,
    /// `GetObject` with 200 or 206 of RustFS), not of a HEAD or anything else.
    pub notified_get: bool,
}
