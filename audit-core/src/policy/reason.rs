//! The names under which records are skipped or quarantined: users and dashboards rely on them.

use serde::{Deserialize, Serialize};

/// Why a record is no download to bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// A bucket notification or a relative: carries nothing to meter.
    Notification,
    /// The server's own work, not a client's request.
    NotIncoming,
    /// Not a `GetObject` with a presigned URL.
    NotPresignedGet,
    /// Answered with an error, or with anything but 200 and 206.
    FailedRequest,
    /// A presigned URL of somebody else: neither collection nor item.
    NoIds,
    /// Signature version 2 signs no such parameters: anyone could have written them.
    UnsignedIds,
    /// Nobody to bill, and no `ANONYMOUS_USER_ID`.
    NoUser,
}

impl SkipReason {
    /// The name in tallies and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Notification => "notification",
            Self::NotIncoming => "not_incoming",
            Self::NotPresignedGet => "not_presigned_get",
            Self::FailedRequest => "failed_request",
            Self::NoIds => "no_ids",
            Self::UnsignedIds => "unsigned_ids",
            Self::NoUser => "no_user",
        }
    }
}

/// Why a record that may be a download is kept for a person to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuarantineReason {
    /// Not a JSON object, or not valid JSON inside.
    Malformed,
    /// Two spellings of one id with different values.
    ConflictingIds,
    /// Only one of collection and item.
    IncompleteIds,
    /// The user is no UUID.
    InvalidUserId,
    /// The collection is no UUID.
    InvalidCollectionId,
    /// The item has a pipe or a control character, or is no text.
    InvalidItemId,
    /// The byte count is missing or not an exact whole number in range.
    InvalidBytes,
    /// The time is missing, not UTC, or does not exist.
    InvalidTime,
    /// A correction of an earlier record: counting it would bill twice.
    UpdatedData,
    /// Nothing tells this record from its copies.
    NoIdentity,
    /// The resource server refused it.
    Rejected,
}

impl QuarantineReason {
    /// The name in tallies, metrics and quarantine files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::ConflictingIds => "conflicting_ids",
            Self::IncompleteIds => "incomplete_ids",
            Self::InvalidUserId => "invalid_user_id",
            Self::InvalidCollectionId => "invalid_collection_id",
            Self::InvalidItemId => "invalid_item_id",
            Self::InvalidBytes => "invalid_bytes",
            Self::InvalidTime => "invalid_time",
            Self::UpdatedData => "updated_data",
            Self::NoIdentity => "no_identity",
            Self::Rejected => "rejected",
        }
    }
}
