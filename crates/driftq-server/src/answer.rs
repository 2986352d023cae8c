//! A JSON answer.

use crate::json;
use crate::problem::JSON;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

/// An answer with this status and body.
pub(crate) struct Answer<T>(pub(crate) StatusCode, pub(crate) T);

/// A 200 with this body.
pub(crate) fn ok<T>(body: T) -> Answer<T> {
    Answer(StatusCode::OK, body)
}

impl<T: serde::Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        raw(self.0, json::bytes_of(&self.1))
    }
}

/// An answer whose body is JSON already.
pub(crate) fn raw(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], body).into_response()
}
