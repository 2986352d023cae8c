//! Errors on the wire: one table of codes, one body.
//!
//! Promise: every error answer has `error` and `message`; the other members are a superset that
//! also reads as RFC 9457. Whether a request may be sent again follows from the code, never from
//! the text.

use serde::{Deserialize, Serialize};

/// What `type` starts with; the code in lower case with hyphens follows, as in `docs/errors/`.
pub const ERROR_TYPE_PREFIX: &str = "urn:driftq:error:";

macro_rules! error_codes {
    ($($(#[$doc:meta])+ $name:ident = $text:literal, $slug:literal, $status:literal, $retryable:literal, $title:literal;)+) => {
        /// Why a request was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorCode {
            $($(#[$doc])+ #[serde(rename = $text)] $name,)+
        }

        impl ErrorCode {
            /// Every code, in the order of its status.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code as it is written in `error`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// The HTTP status that carries it.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),+ }
            }

            /// Whether the same request may succeed later without being changed.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Self::$name => $retryable),+ }
            }

            /// A few words for people, the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),+ }
            }

            /// The address that names this kind of error.
            #[must_use]
            pub const fn type_uri(self) -> &'static str {
                match self { $(Self::$name => concat!("urn:driftq:error:", $slug)),+ }
            }

            /// The code as a file name of `docs/errors/`, without its ending.
            #[must_use]
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug),+ }
            }
        }
    };
}

error_codes! {
    /// The request itself is wrong, whatever the state.
    InvalidArgument = "INVALID_ARGUMENT", "invalid-argument", 400, false, "The request is not valid";
    /// No token, or not a known one.
    Unauthenticated = "UNAUTHENTICATED", "unauthenticated", 401, false, "A token is needed";
    /// The caller is known and may not do this.
    PermissionDenied = "PERMISSION_DENIED", "permission-denied", 403, false, "Not allowed";
    /// No such route, topic, run or message.
    NotFound = "NOT_FOUND", "not-found", 404, false, "Not found";
    /// It was there; retention removed it.
    Expired = "EXPIRED", "expired", 404, false, "Removed by retention";
    /// The path exists, the method does not.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", "method-not-allowed", 405, false, "Method not allowed";
    /// The state does not allow it: another owner, a terminal run, a settled dead letter.
    FailedPrecondition = "FAILED_PRECONDITION", "failed-precondition", 409, false, "The state does not allow this";
    /// The message, batch or body is larger than the limit.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", "payload-too-large", 413, false, "Too large";
    /// The body is encoded in a way that is not read.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", "unsupported-media-type", 415, false, "Content encoding not supported";
    /// An idempotency key came again with another explicit fingerprint.
    Unprocessable = "UNPROCESSABLE", "unprocessable", 422, false, "Idempotency key reused for something else";
    /// Overload or a limit; later there is room.
    ResourceExhausted = "RESOURCE_EXHAUSTED", "resource-exhausted", 429, true, "Over a limit for now";
    /// The server failed; what it did is once or not at all.
    Internal = "INTERNAL", "internal", 500, false, "The server failed";
    /// Starting, draining, or the disk is full.
    Unavailable = "UNAVAILABLE", "unavailable", 503, true, "Not available for now";
}

impl ErrorCode {
    /// The code a bare status stands for, when an answer has no body of ours.
    ///
    /// 404 is read as `NOT_FOUND`; `None` for a status that no code has.
    #[must_use]
    pub fn from_status(status: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.status() == status)
    }
}

/// The body of every error answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// The code.
    pub error: ErrorCode,
    /// What is wrong, and what to do.
    pub message: String,
    /// A finer cause, where a program may care: `partition_buffer_full`, `disk_full`, `cancelled` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long to wait before the next try, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// RFC 9457: the kind of error as an address.
    #[serde(default, rename = "type")]
    pub type_uri: String,
    /// RFC 9457: the kind of error in a few words.
    #[serde(default)]
    pub title: String,
    /// RFC 9457: the HTTP status.
    #[serde(default)]
    pub status: u16,
    /// RFC 9457: the same as `message`, unless there is more to say.
    #[serde(default)]
    pub detail: String,
    /// Whether the same request may succeed later.
    #[serde(default)]
    pub retryable: bool,
}

impl ErrorBody {
    /// A body with everything that follows from the code filled in.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            error: code,
            detail: message.clone(),
            message,
            reason: None,
            retry_after_ms: None,
            type_uri: code.type_uri().to_owned(),
            title: code.title().to_owned(),
            status: code.status(),
            retryable: code.retryable(),
        }
    }
}
