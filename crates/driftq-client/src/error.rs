//! What can go wrong between a caller and the server.
//!
//! Promise: whether to try again is told by the type, never by the text.

use std::{error::Error as _, time::Duration};

use driftq_api::{ErrorBody, ErrorCode};
use reqwest::{StatusCode, header::HeaderMap};

use crate::tls;

/// How much of an answer that is not ours is quoted, in characters.
const QUOTE_CHARS_MAX: usize = 200;

/// Why a call did not come to an answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection could be made, so the server did nothing.
    #[error("nothing answers at {url}; start it with `driftqd`")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What the network said.
        source: reqwest::Error,
    },
    /// The server's name stands for no address, so no server did anything.
    #[error("cannot find host {host}; look at the address, or at the name service of this machine")]
    UnknownHost {
        /// The name.
        host: String,
        /// What the network said.
        source: reqwest::Error,
    },
    /// A server is there, but its certificate is not believed: it was asked nothing.
    #[error("the certificate of {url} is not trusted{cause}")]
    Untrusted {
        /// Where it is.
        url: String,
        /// Why, and what to do about it.
        cause: String,
    },
    /// The connection broke, or no answer came in time: the server did it once or not at all.
    #[error("the connection to {url} broke before the answer was complete: {cause}")]
    Broken {
        /// Where it was connected to.
        url: String,
        /// How it broke.
        cause: String,
    },
    /// The server refused.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// Something answered, but not as a DriftQ server would.
    #[error("{url} answered something that cannot be read: {cause}")]
    Unreadable {
        /// Where it came from.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The server's address is not one.
    #[error("`{url}` is not an address of a server: {cause}")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A name that no address can carry.
    #[error("`{0}` cannot be a part of an address")]
    BadName(String),
    /// A token with characters no header can carry.
    #[error("the token has characters that no header can carry")]
    BadToken,
    /// An actor with characters no header can carry.
    #[error("the actor has characters that no header can carry")]
    BadActor,
    /// The certificates that should vouch for the server cannot be used.
    #[error("the certificates in {file} cannot be used: {cause}")]
    BadCertificate {
        /// The file.
        file: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A value of the caller's that has no JSON form.
    #[error("the value cannot be written as JSON: {0}")]
    BadValue(#[source] serde_json::Error),
    /// The HTTP client could not be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(#[source] reqwest::Error),
}

/// An error answer of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code; `None` when the answer is not one of ours (a proxy's, say).
    pub code: Option<ErrorCode>,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, and what to do.
    pub message: String,
    /// A finer cause.
    pub reason: Option<String>,
    /// How long the server wants to be left alone.
    pub retry_after: Option<Duration>,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// The request's id, to find it in the server's log.
    pub request_id: Option<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code {
            Some(code) => write!(formatter, "{} ({})", self.message, code.as_str()),
            None => write!(formatter, "{} (HTTP {})", self.message, self.status),
        }
    }
}

impl ClientError {
    /// The server's code, when it was the server that refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.refusal().and_then(|refusal| refusal.code)
    }

    /// The server's answer, when it was the server that refused.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Unreachable { .. }
            | Self::UnknownHost { .. }
            | Self::Untrusted { .. }
            | Self::Broken { .. }
            | Self::Unreadable { .. }
            | Self::BadUrl { .. }
            | Self::BadName(_)
            | Self::BadToken
            | Self::BadActor
            | Self::BadCertificate { .. }
            | Self::BadValue(_)
            | Self::Setup(_) => None,
        }
    }

    /// One sentence for people.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.message.clone(),
            other => other.to_string(),
        }
    }

    /// Whether the same request may succeed later.
    ///
    /// For [`ClientError::Broken`] that says nothing about whether it has succeeded already.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::UnknownHost { .. } | Self::Broken { .. } => true,
            Self::Refused(refusal) => refusal.retryable,
            Self::Untrusted { .. }
            | Self::Unreadable { .. }
            | Self::BadUrl { .. }
            | Self::BadName(_)
            | Self::BadToken
            | Self::BadActor
            | Self::BadCertificate { .. }
            | Self::BadValue(_)
            | Self::Setup(_) => false,
        }
    }

    /// How long the server wants to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal().and_then(|refusal| refusal.retry_after)
    }

    /// Whether the request surely changed nothing, so that even one without a key may be repeated.
    pub(crate) fn changed_nothing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::UnknownHost { .. } | Self::Untrusted { .. } => true,
            Self::Refused(refusal) => refusal.status < 500,
            Self::Broken { .. }
            | Self::Unreadable { .. }
            | Self::BadUrl { .. }
            | Self::BadName(_)
            | Self::BadToken
            | Self::BadActor
            | Self::BadCertificate { .. }
            | Self::BadValue(_)
            | Self::Setup(_) => false,
        }
    }

    /// What a failed exchange means.
    pub(crate) fn from_transport(url: &str, error: reqwest::Error) -> Self {
        if error.is_connect() {
            return Self::from_connecting(url, error);
        }
        if error.is_builder() || error.is_redirect() {
            return Self::BadUrl { url: url.to_owned(), cause: error.to_string() };
        }
        let cause =
            if error.is_timeout() { "no answer in time".to_owned() } else { innermost(&error).to_string() };
        Self::Broken { url: url.to_owned(), cause }
    }

    /// What it means that there is no connection.
    fn from_connecting(url: &str, error: reqwest::Error) -> Self {
        match tls::refusal(&error) {
            Some(rustls::Error::InvalidCertificate(why)) => {
                return Self::Untrusted { url: url.to_owned(), cause: tls::mistrust(why) };
            }
            Some(other) => return Self::Broken { url: url.to_owned(), cause: other.to_string() },
            None => {}
        }
        let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
        // Its type is the HTTP library's own secret; its name is not.
        if causes.any(|cause| cause.to_string().starts_with("dns error")) {
            let host = reqwest::Url::parse(url).ok();
            let host = host.as_ref().and_then(reqwest::Url::host_str).unwrap_or(url).to_owned();
            return Self::UnknownHost { host, source: error };
        }
        Self::Unreachable { url: url.to_owned(), source: error }
    }

    /// What an error answer means, whoever wrote it.
    pub(crate) fn from_answer(url: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let seconds = text("retry-after").and_then(|seconds| seconds.trim().parse().ok());
        let request_id = text("x-request-id").map(str::to_owned);
        let status = status.as_u16();
        let refusal = match serde_json::from_slice::<ErrorBody>(body) {
            Ok(body) => Refusal {
                code: Some(body.error),
                status,
                message: body.message,
                reason: body.reason,
                // The body's is the finer one; the header's is rounded up.
                retry_after: body
                    .retry_after_ms
                    .map(Duration::from_millis)
                    .or(seconds.map(Duration::from_secs)),
                retryable: body.error.retryable(),
                request_id,
            },
            Err(_) => Refusal {
                code: None,
                status,
                message: format!("{url} answered {status}: {}", quote(body)),
                reason: None,
                retry_after: seconds.map(Duration::from_secs),
                retryable: matches!(status, 408 | 429 | 502..=504),
                request_id,
            },
        };
        Self::Refused(Box::new(refusal))
    }
}

fn innermost(error: &dyn std::error::Error) -> &dyn std::error::Error {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner
}

fn quote(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() {
        return "an empty body".to_owned();
    }
    text.chars().take(QUOTE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry_after(header: &str, body: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", header.parse().expect("it is a header"));
        let status = StatusCode::TOO_MANY_REQUESTS;
        ClientError::from_answer("http://h", status, &headers, body.as_bytes()).retry_after()
    }

    #[test]
    fn the_wait_is_taken_from_the_body_or_else_from_the_header() {
        let ours = r#"{"error":"RESOURCE_EXHAUSTED","message":"m","retry_after_ms":250}"#;
        assert_eq!(retry_after("1", ours), Some(Duration::from_millis(250)));
        let without = r#"{"error":"RESOURCE_EXHAUSTED","message":"m"}"#;
        assert_eq!(retry_after("2", without), Some(Duration::from_secs(2)));
        assert_eq!(retry_after(" 3 ", "<html>busy</html>"), Some(Duration::from_secs(3)));
        assert_eq!(retry_after("Wed, 21 Oct 2026 07:28:00 GMT", without), None);
    }

    #[test]
    fn a_foreign_page_is_quoted_in_part() {
        let error = ClientError::from_answer(
            "http://h/v1/x",
            StatusCode::BAD_GATEWAY,
            &HeaderMap::new(),
            "é".repeat(5_000).as_bytes(),
        );
        assert_eq!(error.message(), format!("http://h/v1/x answered 502: {}", "é".repeat(200)));
        assert!(error.retryable());
    }
}
