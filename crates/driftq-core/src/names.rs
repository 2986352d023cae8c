//! Names that people choose, parsed once at the edge.
//!
//! Promise: whoever holds one of these values holds a valid name. Bounds are those of the wire contract.

use alloc::{format, string::String, sync::Arc};
use serde::{Deserialize, Serialize};

/// Longest topic, group, owner, workflow, step or tenant name, bytes of UTF-8 (prefixes not counted).
pub const NAME_BYTES_MAX: usize = 200;
/// Longest run id, bytes.
pub const RUN_ID_BYTES_MAX: usize = 128;
/// Longest idempotency key, bytes.
pub const KEY_BYTES_MAX: usize = 256;
/// Prefix of a topic that holds dead letters.
pub const DLQ_PREFIX: &str = "dlq.";
/// Prefix of a topic that only the broker writes to.
pub const RESERVED_PREFIX: &str = "driftq.";
/// Prefix of a topic that holds a run's timeline.
pub const EVENTS_PREFIX: &str = "runs.events.";

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left after trimming.
    #[error("{0} must not be empty")]
    Empty(&'static str),
    /// Longer than its bound.
    #[error("{what} is longer than {max} bytes")]
    TooLong {
        /// Which name.
        what: &'static str,
        /// The bound in bytes.
        max: usize,
    },
    /// A control character, `/`, or for a run id anything outside `[A-Za-z0-9._-]`.
    #[error("{what} must not contain {found:?}")]
    Forbidden {
        /// Which name.
        what: &'static str,
        /// The first offending character.
        found: char,
    },
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses a name.
            ///
            /// # Errors
            ///
            /// [`NameError`] says which rule the text breaks.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let parse: fn(&'static str, &str) -> Result<(), NameError> = $parse;
                parse($what, text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

name!(
    /// A topic's name: 1–200 bytes without control characters or `/`; `dlq.` and `runs.events.` are not counted.
    TopicName,
    "topic",
    topic_rule
);
name!(
    /// A consumer group's name.
    GroupName,
    "group",
    plain_rule
);
name!(
    /// Who holds a lease.
    OwnerId,
    "owner",
    plain_rule
);
name!(
    /// A run's id: 1–128 of `[A-Za-z0-9._-]`.
    RunId,
    "run_id",
    run_rule
);
name!(
    /// A workflow's name.
    WorkflowName,
    "workflow",
    plain_rule
);
name!(
    /// A step's name within its run.
    StepName,
    "step",
    plain_rule
);
name!(
    /// A tenant.
    TenantId,
    "tenant_id",
    plain_rule
);

impl TopicName {
    /// Whether only the broker writes to it: `driftq.…`, and its dead letters.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        let mut name: &str = &self.0;
        while let Some(rest) = name.strip_prefix(DLQ_PREFIX) {
            name = rest;
        }
        name.starts_with(RESERVED_PREFIX)
    }

    /// `dlq.<topic>`, where this topic's dead letters go.
    #[must_use]
    pub fn dead_letters(&self) -> Self {
        Self(format!("{DLQ_PREFIX}{}", self.0).into())
    }

    /// The topic whose dead letters this one holds.
    #[must_use]
    pub fn original(&self) -> Self {
        Self(self.0.strip_prefix(DLQ_PREFIX).unwrap_or(&self.0).into())
    }

    /// `runs.events.<id>`, a run's timeline.
    #[must_use]
    pub fn timeline(run: &RunId) -> Self {
        Self(format!("{EVENTS_PREFIX}{}", run.as_str()).into())
    }

    /// Whether this is a dead letter topic.
    #[must_use]
    pub fn is_dead_letters(&self) -> bool {
        self.0.starts_with(DLQ_PREFIX)
    }

    /// The run id that a timeline's name carries.
    #[must_use]
    pub fn timeline_of(&self) -> Option<&str> {
        self.0.strip_prefix(EVENTS_PREFIX)
    }
}

/// An idempotency key as a producer chose it, with its tenant and an optional explicit fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The producer's tenant, empty for none.
    pub tenant: String,
    /// The key, 1–256 bytes.
    pub key: String,
    /// What the producer says the request is; only a difference in it is an error.
    pub fingerprint: Option<String>,
}

fn plain_rule(what: &'static str, text: &str) -> Result<(), NameError> {
    bounded(what, text, NAME_BYTES_MAX)?;
    match text.chars().find(|c| c.is_control()) {
        Some(found) => Err(NameError::Forbidden { what, found }),
        None => Ok(()),
    }
}

fn topic_rule(what: &'static str, text: &str) -> Result<(), NameError> {
    let mut counted = text;
    while let Some(rest) = counted.strip_prefix(DLQ_PREFIX).or_else(|| counted.strip_prefix(EVENTS_PREFIX)) {
        counted = rest;
    }
    bounded(what, counted, NAME_BYTES_MAX)?;
    // A prefix repeated without end would get around the bound.
    bounded(what, text, 2 * NAME_BYTES_MAX)?;
    match text.chars().find(|c| c.is_control() || *c == '/') {
        Some(found) => Err(NameError::Forbidden { what, found }),
        None => Ok(()),
    }
}

fn run_rule(what: &'static str, text: &str) -> Result<(), NameError> {
    bounded(what, text, RUN_ID_BYTES_MAX)?;
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        Some(found) => Err(NameError::Forbidden { what, found }),
        None => Ok(()),
    }
}

fn bounded(what: &'static str, text: &str, max: usize) -> Result<(), NameError> {
    if text.is_empty() {
        Err(NameError::Empty(what))
    } else if text.len() > max {
        Err(NameError::TooLong { what, max })
    } else {
        Ok(())
    }
}
