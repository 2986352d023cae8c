//! Who asks, as far as the server knows.

use super::verb::Verb;
use driftq_core::Scope;
use std::sync::Arc;

/// Who asks, by the token that came with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) kind: Kind,
    /// What it may see.
    pub(crate) scope: Arc<Scope>,
    /// When the token ends, epoch milliseconds.
    pub(crate) expires_at_ms: Option<u64>,
}

/// Which kind of token it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One of the token file.
    Named {
        name: Arc<str>,
        verbs: Arc<[Verb]>,
        /// SHA-256 of its text.
        hash: [u8; 32],
    },
    /// One that reads a single run.
    Run,
}

impl Caller {
    pub(crate) fn has_any(&self, verbs: &[Verb]) -> bool {
        match &self.kind {
            Kind::Named { verbs: own, .. } => own.iter().any(|verb| verbs.contains(verb)),
            Kind::Run => false,
        }
    }

    /// The name under which its acts are told.
    pub(crate) fn name(&self) -> &str {
        match &self.kind {
            Kind::Named { name, .. } => name,
            Kind::Run => "run token",
        }
    }

    pub(crate) fn is_over(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|at| at <= now_ms)
    }
}
