//! What only a server for tests of applications answers: a clock that is moved by hand.

use serde::{Deserialize, Serialize};

/// The body of `POST /v1/dev/clock`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MoveClockRequest {
    /// How much time passes, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advance_ms: Option<u64>,
}

/// `POST /v1/dev/clock` as a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct MoveClockQuery {
    /// How much time passes, in milliseconds.
    pub advance_ms: Option<u64>,
}

impl From<MoveClockQuery> for MoveClockRequest {
    fn from(query: MoveClockQuery) -> Self {
        Self { advance_ms: query.advance_ms }
    }
}

/// The answer of `GET` and `POST /v1/dev/clock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Clock {
    /// The broker's time, epoch milliseconds.
    pub now_ms: u64,
    /// Whether it stands still until it is moved.
    pub manual: bool,
}
