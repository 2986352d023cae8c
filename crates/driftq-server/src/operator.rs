//! Acts of operators: carried out and told in the audit log as one step.
//!
//! Promise: an entry names the act, who did it, the request and what it was about, and never what a message holds. What
//! changed nothing is not told.

use crate::app::{App, Engine};
use crate::extract::Actor;
use crate::gate::RequestId;
use crate::problem::Problem;
use axum::extract::FromRequestParts;
use driftq_core::AuditEntry;
use driftq_engine::Broker;
use http::request::Parts;
use serde_json::{Map, Value};

/// An act on its way to the audit log.
#[derive(Debug)]
pub(crate) struct Act {
    kind: &'static str,
    target: Value,
    reason: Option<String>,
    changed: Vec<&'static str>,
}

impl Act {
    /// An act, by a noun and a verb in the past such as `topic.created`, and what it is about.
    pub(crate) fn new(kind: &'static str, target: Value) -> Self {
        Self { kind, target, reason: None, changed: Vec::new() }
    }

    /// Why, in the operator's words.
    pub(crate) fn because(mut self, reason: Option<&str>) -> Self {
        self.reason = reason.map(str::to_owned);
        self
    }

    /// Which of its fields the request gave.
    pub(crate) fn changing(mut self, fields: &[(&'static str, bool)]) -> Self {
        self.changed = fields.iter().filter(|(_, is_given)| *is_given).map(|(name, _)| *name).collect();
        self
    }

    /// Its entry; the writer adds the time.
    pub(crate) fn entry(self, actor: Option<&str>, request_id: Option<&str>) -> AuditEntry {
        let mut entry = Map::new();
        entry.insert("type".to_owned(), self.kind.into());
        entry.insert("target".to_owned(), self.target);
        let texts = [("actor", actor), ("request_id", request_id), ("reason", self.reason.as_deref())];
        for (name, text) in texts {
            entry.extend(text.map(|text| (name.to_owned(), text.into())));
        }
        if !self.changed.is_empty() {
            entry.insert("changed".to_owned(), self.changed.into());
        }
        AuditEntry::of(Value::Object(entry).to_string().into_bytes()).expect("an act has a type")
    }
}

/// Who asks for an operator's act, and the way to the engine.
pub(crate) struct Operator {
    broker: Broker,
    actor: Option<String>,
    request_id: Option<String>,
}

impl Operator {
    /// A handle whose commands stand in the audit log as this act, as far as they change anything.
    pub(crate) fn acting(&self, act: Act) -> Broker {
        self.broker.acting(act.entry(self.actor.as_deref(), self.request_id.as_deref()))
    }

    /// The same, called by this name where neither a token nor a header tells who asks.
    pub(crate) fn called(mut self, actor: Option<String>) -> Self {
        self.actor = self.actor.or(actor);
        self
    }

    /// A handle that only looks.
    pub(crate) fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Who asks, if it is known.
    pub(crate) fn actor(&self) -> Option<String> {
        self.actor.clone()
    }

    /// Writes an act down that was no command.
    pub(crate) async fn tell(&self, act: Act) -> Result<(), Problem> {
        let entry = act.entry(self.actor.as_deref(), self.request_id.as_deref());
        Ok(self.broker.tell(entry).await?)
    }
}

impl FromRequestParts<App> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Engine(broker) = Engine::from_request_parts(parts, app).await?;
        let Actor(actor) = Actor::from_request_parts(parts, app).await?;
        let request_id = parts.extensions.get::<RequestId>().map(|RequestId(id)| id.clone());
        Ok(Self { broker, actor, request_id })
    }
}
