//! How an attempt failed, and why a worker cannot work.

use std::{any::type_name, error::Error, fmt, time::Duration};

use driftq_api::FailureRequest;

use crate::ClientError;

/// How much of a message is sent, in characters.
const MESSAGE_CHARS_MAX: usize = 4_000;

/// Why an attempt failed, and whether there may be another one.
///
/// Every error becomes one by `?`: its text with its causes is the message, its type is the type.
/// Like that it is tried again by the message's retry policy; [`WorkError::retry_after`] sets the
/// pause, [`WorkError::non_retryable`] makes it a dead letter now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkError {
    failure: FailureRequest,
    next: Next,
}

/// What comes after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// What the retry policy says.
    Policy,
    /// A try after so long.
    After(Duration),
    /// No try.
    Never,
}

impl WorkError {
    /// A failure in words.
    #[must_use]
    pub fn new(message: impl fmt::Display) -> Self {
        let message = message.to_string().chars().take(MESSAGE_CHARS_MAX).collect();
        Self { failure: FailureRequest { message, ..FailureRequest::default() }, next: Next::Policy }
    }

    /// The same with a type, which dead letters are grouped by.
    #[must_use]
    pub fn with_kind(mut self, kind: impl Into<String>) -> Self {
        self.failure.kind = Some(kind.into());
        self
    }

    /// The same, and the next try comes after `pause` whatever the policy says: a provider's Retry-After, say.
    #[must_use]
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.next = Next::After(pause);
        self
    }

    /// The same, and there is no next try: it is a dead letter now.
    #[must_use]
    pub fn non_retryable(mut self) -> Self {
        self.next = Next::Never;
        self
    }

    /// What goes to the server.
    #[must_use]
    pub fn failure(&self) -> &FailureRequest {
        &self.failure
    }

    /// Whether the retry policy, or a pause, may bring another try.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.next != Next::Never
    }

    pub(super) fn next(&self) -> Next {
        self.next
    }
}

impl fmt::Display for WorkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.failure.message)
    }
}

// It is no `Error` itself, so that every error can become one.
impl<E: Error> From<E> for WorkError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Many errors print their cause themselves.
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        Self::new(message).with_kind(short_name(type_name::<E>()))
    }
}

/// A type's name without the path to it and to its parameters.
fn short_name(path: &str) -> String {
    let (name, parameters) = path.split_once('<').unwrap_or((path, ""));
    let name = name.rsplit("::").next().unwrap_or(name);
    if parameters.is_empty() { name.to_owned() } else { format!("{name}<…>") }
}

/// Why a worker does not work, or does not any more.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// There is neither a workflow nor a handler.
    #[error("this worker has nothing to do: give it a workflow or a handler")]
    Idle,
    /// One of two would never be called.
    #[error("{0} is registered twice")]
    Twice(String),
    /// The server refused before anything was done.
    #[error(transparent)]
    Client(ClientError),
    /// No thread for the heartbeats.
    #[error("the thread of the heartbeats cannot be started: {0}")]
    Thread(#[source] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the upload failed")]
    struct Upload(#[source] std::io::Error);

    #[test]
    fn an_error_becomes_its_text_with_its_causes_and_its_type() {
        let error = WorkError::from(Upload(std::io::Error::other("disk on fire")));
        assert_eq!(error.failure().message, "the upload failed: disk on fire");
        assert_eq!(error.failure().kind.as_deref(), Some("Upload"));
        assert!(error.is_retryable());
        assert!(!error.non_retryable().is_retryable());
    }

    #[test]
    fn a_long_message_is_cut_and_a_name_is_short() {
        assert_eq!(WorkError::new("é".repeat(5_000)).failure().message.chars().count(), MESSAGE_CHARS_MAX);
        assert_eq!(short_name("a::b::C<d::E>"), "C<…>");
        assert_eq!(short_name("C"), "C");
    }
}
