//! The resource server's refusals, word for word.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

/// A refusal as `{"code","description"}`; the description is also the message of a failed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    pub(crate) description: &'static str,
}

impl Refusal {
    pub(crate) const EMPTY_ENTRY: Self = Self::internal("One of the logs entries is empty.");
    pub(crate) const FORMAT: Self = Self::bad_request(
        "Invalid log format in one of the log entries : Expected 6 fields (userId|collectionId|itemId|timestamp|respSize|storageBackend)",
    );
    pub(crate) const MISSING_FIELD: Self = Self::bad_request("Missing required fields in log entry.");
    pub(crate) const UUID: Self = Self::bad_request("Invalid UUID format in one of the log entries.");
    pub(crate) const SIZE: Self = Self::bad_request("Invalid respSize format in one of the log entries.");
    pub(crate) const TIME: Self = Self::bad_request("Invalid timestamp format in one of the log entries.");
    pub(crate) const INSERTION_FAILED: Self = Self::internal("Audit logs Insertion process failed.");
    pub(crate) const ENTRY_UNREADABLE: Self = Self::internal("Unexpected error while processing log entry");
    pub(crate) const LOGS_NOT_AN_ARRAY: Self = Self::internal("logs is not a JSON array");
    /// The job could not be made, or could not be kept up after the commit: says nothing about the insert.
    pub(crate) const UNEXPLAINED: Self = Self::internal("Internal Server Error");
    pub(crate) const INPUTS_MISSING: Self = Self::bad_request("inputs: expected a JSON object");
    pub(crate) const LOGS_MISSING: Self = Self {
        status: StatusCode::BAD_REQUEST,
        code: "Failed to start process : input validation failed",
        description: "Following keys in process input were missing or empty [logs]",
    };
    pub(crate) const PROCESS_ID: Self = Self {
        status: StatusCode::BAD_REQUEST,
        code: "Invalid Process ID",
        description: "The provided process ID is not valid",
    };
    pub(crate) const PROCESS_UNKNOWN: Self =
        Self { status: StatusCode::NOT_FOUND, code: "Not Found", description: "The requested process does not exist" };
    pub(crate) const TOKEN_MISSING: Self =
        Self { status: StatusCode::UNAUTHORIZED, code: "Token not found", description: "Token not found" };
    pub(crate) const TOKEN_INVALID: Self =
        Self { status: StatusCode::UNAUTHORIZED, code: "Invalid Token", description: "Invalid JWT token" };
    pub(crate) const TOKEN_EXPIRED: Self = Self {
        status: StatusCode::UNAUTHORIZED,
        code: "Invalid Token",
        description: "Invalid JWT token: token expired.",
    };
    pub(crate) const NOT_RS_ADMIN: Self = Self::not_authorized(
        "Only RS admin is authorized to execute the AuditLogsIngestion process. Please contact DX AAA",
    );
    pub(crate) const NOT_PROVIDER: Self = Self::not_authorized("User is not authorised. Please contact IUDX AAA ");
    pub(crate) const TOO_LARGE: Self = Self {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        code: "Request Entity Too Large",
        description: "Request Entity Too Large",
    };

    const fn bad_request(description: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "Bad Request", description }
    }

    const fn internal(description: &'static str) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, code: "Internal Server Error", description }
    }

    const fn not_authorized(description: &'static str) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, code: "Not Authorized", description }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "code": self.code, "description": self.description }))).into_response()
    }
}

/// A refusal as `{"type","title","detail"}`.
pub(crate) fn problem(status: StatusCode, kind: &str, title: &str, detail: &str) -> Response {
    (status, Json(json!({ "type": kind, "title": title, "detail": detail }))).into_response()
}
