//! Every way to be refused, as one type on its way to the wire.
//!
//! Promise: whatever the engine refuses becomes a code, a sentence and perhaps a `Retry-After` in one exhaustive
//! match here; no text of a library reaches a user.

use axum::response::{IntoResponse, Response};
use driftq_api::{ErrorBody, ErrorCode};
use driftq_core::{NameError, Rejection};
use driftq_engine::{BodyError, Refusal};
use http::{HeaderValue, header};

/// The media type of every JSON answer.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// The media type of an error for those who ask for it.
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// How long a caller waits after an overload.
const OVERLOAD_WAIT_MS: u64 = 250;
/// How long a caller waits when a partition is full, the disk is full, or the server starts or drains.
const CONDITION_WAIT_MS: u64 = 1_000;

/// An error answer.
#[derive(Debug)]
pub(crate) struct Problem(Box<ErrorBody>);

/// Marks an answer as an error of ours, so that the gate can choose its media type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IsProblem;

impl Problem {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorBody::new(code, message)))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::PayloadTooLarge, message)
    }

    pub(crate) fn overloaded(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ResourceExhausted, message).reason("overloaded").retry_after(OVERLOAD_WAIT_MS)
    }

    pub(crate) fn unavailable(message: impl Into<String>, reason: &str) -> Self {
        Self::new(ErrorCode::Unavailable, message).reason(reason).retry_after(CONDITION_WAIT_MS)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// The same refusal under another status, where the protocol has one of its own.
    pub(crate) fn with_status(mut self, status: http::StatusCode) -> Self {
        self.0.status = status.as_u16();
        self
    }

    /// The body as it is sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("an error body has no key that is not a string")
    }

    pub(crate) fn reason(mut self, reason: &str) -> Self {
        self.0.reason = Some(reason.to_owned());
        self
    }

    pub(crate) fn detail(mut self, detail: String) -> Self {
        self.0.detail = detail;
        self
    }

    /// Puts the place of a faulty item in front of what is wrong with it.
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.0.message = format!("{place}: {}", self.0.message);
        self.0.detail = self.0.message.clone();
        self
    }

    /// The same refusal, about something that the path itself names.
    pub(crate) fn into_not_found(self) -> Self {
        match self.0.error {
            ErrorCode::InvalidArgument => Self::not_found(self.0.message),
            ErrorCode::Unauthenticated
            | ErrorCode::PermissionDenied
            | ErrorCode::NotFound
            | ErrorCode::Expired
            | ErrorCode::MethodNotAllowed
            | ErrorCode::FailedPrecondition
            | ErrorCode::PayloadTooLarge
            | ErrorCode::UnsupportedMediaType
            | ErrorCode::Unprocessable
            | ErrorCode::ResourceExhausted
            | ErrorCode::Internal
            | ErrorCode::Unavailable => self,
        }
    }

    /// What is wrong, in a sentence.
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// A refusal about a topic or group that the request is all about: when it is not there, that is a 404.
    pub(crate) fn of_a_group(refusal: Refusal) -> Self {
        let is_absent =
            matches!(refusal, Refusal::Rejected(Rejection::UnknownTopic(_) | Rejection::UnknownGroup { .. }));
        let problem = Self::from(refusal);
        if is_absent { problem.into_not_found() } else { problem }
    }

    /// The same about a message: a partition that is not there is a 404 as well.
    pub(crate) fn of_something_named(refusal: Refusal) -> Self {
        let is_absent = matches!(refusal, Refusal::Rejected(Rejection::PartitionOutOfRange { .. }));
        let problem = Self::of_a_group(refusal);
        if is_absent { problem.into_not_found() } else { problem }
    }

    pub(crate) fn why(&self) -> &str {
        self.0.reason.as_deref().unwrap_or(self.0.error.as_str())
    }

    fn retry_after(mut self, ms: u64) -> Self {
        self.0.retry_after_ms = Some(ms);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            http::StatusCode::from_u16(self.0.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        let body = self.bytes();
        let mut response = (status, [(header::CONTENT_TYPE, JSON)], body).into_response();
        if let Some(ms) = self.0.retry_after_ms {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000)));
        }
        if self.0.error == ErrorCode::Unauthenticated {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(IsProblem);
        response
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        tracing::error!(%error, "a stored body cannot be read");
        Self::internal("a stored message cannot be read back; the server's log names the file and the place")
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::Rejected(rejection) => rejection.into(),
            Refusal::Overloaded => Self::overloaded(text),
            Refusal::DiskFull => Self::unavailable(text, "disk_full"),
            Refusal::Draining => Self::unavailable(text, "draining"),
            Refusal::TooLarge { .. } => Self::too_large(text),
            Refusal::Stopped => Self::unavailable(text, "stopped"),
        }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let text = rejection.to_string();
        match rejection {
            Rejection::OutOfScope(_) | Rejection::Reserved(_) => Self::new(ErrorCode::PermissionDenied, text),
            Rejection::UnknownTopic(_)
            | Rejection::UnknownGroup { .. }
            | Rejection::PartitionsDiffer { .. }
            | Rejection::SettingsDiffer(_)
            | Rejection::PartitionOutOfRange { .. }
            | Rejection::TooManyPartitions { .. }
            | Rejection::DeadlinePassed
            | Rejection::NotOnTimeline(_)
            | Rejection::NeverDelivered
            | Rejection::ResultOutsideRun
            | Rejection::UnknownStep { .. }
            | Rejection::NotForCommands(_)
            | Rejection::TooManySteps { .. }
            | Rejection::OffsetOutOfRange { .. }
            | Rejection::GroupNeeded
            | Rejection::GroupUnclear(_)
            | Rejection::RoutingWithoutLabel
            | Rejection::RunDeadLetter
            | Rejection::TooManyPartitionsToRedrive(_) => Self::invalid(text),
            Rejection::UnknownRun(_)
            | Rejection::UnknownDeadLetter
            | Rejection::UnknownMessage
            | Rejection::UnknownJob(_)
            | Rejection::NoDeadLetterMatches => Self::not_found(text),
            Rejection::NotOwner
            | Rejection::RunExists(_)
            | Rejection::TimelineTaken(_)
            | Rejection::RunNotEnded { .. }
            | Rejection::RunEnded { .. }
            | Rejection::InputChanged
            | Rejection::JobOver(_)
            | Rejection::TooManyJobs(_)
            | Rejection::OriginalDeleted(_)
            | Rejection::CommandsDeleted(_)
            | Rejection::TimelineInUse { .. }
            | Rejection::OpenRuns { .. }
            | Rejection::GroupMovesRuns { .. }
            | Rejection::TooManyDelayed(_)
            | Rejection::LeasedBy { .. }
            | Rejection::SettledAlready
            | Rejection::DeadLetteredTo { .. }
            | Rejection::DeadLetterClosed(_) => Self::new(ErrorCode::FailedPrecondition, text),
            Rejection::Cancelled => Self::new(ErrorCode::FailedPrecondition, text).reason("cancelled"),
            Rejection::FingerprintDiffers => Self::new(ErrorCode::Unprocessable, text),
            Rejection::TooManyTopics(_) => Self::new(ErrorCode::ResourceExhausted, text)
                .reason("topics_full")
                .retry_after(CONDITION_WAIT_MS),
            Rejection::TooManyGroups(_) => Self::new(ErrorCode::ResourceExhausted, text)
                .reason("groups_full")
                .retry_after(CONDITION_WAIT_MS),
            Rejection::Backpressure { reason } => {
                Self::new(ErrorCode::ResourceExhausted, text).reason(reason).retry_after(CONDITION_WAIT_MS)
            }
        }
    }
}
