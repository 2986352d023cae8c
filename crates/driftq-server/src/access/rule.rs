//! What a route asks of a token: a verb, and how its scope is held.
//!
//! Promise: every route has a rule, written beside it in the table, or it does not compile; the check runs before the
//! handler does.

use super::caller::{Caller, Kind};
use super::verb::{Verb, either};
use crate::app::App;
use crate::extract::{DeadLetterParam, RunParam, TopicParam};
use crate::handlers::{runs, topics};
use crate::problem::Problem;
use axum::extract::{FromRequestParts as _, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use driftq_api::ErrorCode;
use driftq_core::{MessageAt, Rejection, Scope};
use http::request::Parts;

/// What a route asks of a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) who: Who,
    reach: Reach,
}

/// Whom a route lets in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    /// Everybody, without a token.
    Everybody,
    /// Every token.
    EveryToken,
    /// Tokens with one of these verbs.
    With(&'static [Verb]),
    /// These, and a token of the run that the path names.
    WithOrOfRun(&'static [Verb]),
}

/// How far a route reaches, and what keeps a narrowed token within its scope.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reach {
    /// Nothing of what the broker holds.
    Nothing,
    /// The whole broker: nothing for a narrowed token.
    Whole,
    /// The run, topic or dead letter that the path names: looked at before the handler runs.
    Path,
    /// A command about what its body names: the writer looks at it before it is decided.
    Command,
    /// A list: its handler leaves out what is out of scope.
    List,
    /// Messages themselves, of the topic that the path or a command names: nothing for a tenant on topics that are not
    /// its own.
    Messages,
}

impl Rule {
    /// Everybody may.
    pub(crate) const OPEN: Self = Self { who: Who::Everybody, reach: Reach::Nothing };
    /// Every token may.
    pub(crate) const EVERY_TOKEN: Self = Self { who: Who::EveryToken, reach: Reach::Nothing };

    /// A token with one of these verbs may.
    pub(crate) const fn with(verbs: &'static [Verb], reach: Reach) -> Self {
        Self { who: Who::With(verbs), reach }
    }

    /// A token with one of these verbs may, and one of the run that the path names.
    pub(crate) const fn of_run(verbs: &'static [Verb]) -> Self {
        Self { who: Who::WithOrOfRun(verbs), reach: Reach::Path }
    }

    /// The verbs that let a token in; `None` when none is needed.
    pub(crate) fn verbs(&self) -> Option<&'static [Verb]> {
        match self.who {
            Who::Everybody | Who::EveryToken => None,
            Who::With(verbs) | Who::WithOrOfRun(verbs) => Some(verbs),
        }
    }

    fn admit(&self, caller: &Caller) -> Result<(), Problem> {
        let is_in = match self.who {
            Who::Everybody | Who::EveryToken => true,
            Who::With(verbs) => caller.has_any(verbs),
            Who::WithOrOfRun(verbs) => caller.has_any(verbs) || caller.kind == Kind::Run,
        };
        if !is_in {
            let verbs = either(self.verbs().unwrap_or_default());
            let name = caller.name();
            return Err(denied(format!("this needs the verb {verbs}, which the token {name:?} has not")));
        }
        match self.reach {
            Reach::Whole if !caller.scope.is_whole() => Err(denied(
                "this is about the whole broker; use a token without topics and without a tenant".to_owned(),
            )),
            Reach::Messages if !caller.scope.reads_messages() => Err(denied(
                "a token with a tenant reads messages only under topics of its own; give it topics"
                    .to_owned(),
            )),
            Reach::Nothing | Reach::Whole | Reach::Path | Reach::Command | Reach::List | Reach::Messages => {
                Ok(())
            }
        }
    }

    /// Whether what the path names is to be looked at.
    fn looks_at_path(&self) -> bool {
        match self.reach {
            Reach::Path | Reach::Messages => true,
            Reach::Nothing | Reach::Whole | Reach::Command | Reach::List => false,
        }
    }
}

fn denied(message: String) -> Problem {
    Problem::new(ErrorCode::PermissionDenied, message)
}

/// The one check of every route, once tokens are in force.
pub(crate) async fn check(State((app, rule)): State<(App, Rule)>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    if let Some(caller) = parts.extensions.get::<Caller>().cloned() {
        if let Err(problem) = rule.admit(&caller) {
            return problem.into_response();
        }
        if rule.looks_at_path()
            && !caller.scope.is_whole()
            && let Err(problem) = admit_path(&mut parts, &app, (*caller.scope).clone()).await
        {
            return problem.into_response();
        }
    } else if !matches!(rule.who, Who::Everybody) {
        return Problem::new(ErrorCode::Unauthenticated, "a token is needed").into_response();
    }
    next.run(Request::from_parts(parts, body)).await
}

/// Refuses what is out of scope in the words for what is absent. What is not well named is the handler's to refuse.
async fn admit_path(parts: &mut Parts, app: &App, scope: Scope) -> Result<(), Problem> {
    let Some(broker) = app.broker().cloned() else { return Ok(()) };
    let Ok(params) = RawPathParams::from_request_parts(parts, app).await else { return Ok(()) };
    let names: Vec<String> = params.iter().map(|(name, _)| name.to_owned()).collect();
    let has = |name: &str| names.iter().any(|known| known == name);
    if has("offset") {
        let Ok(DeadLetterParam(at)) = DeadLetterParam::from_request_parts(parts, app).await else {
            return Ok(());
        };
        let is_hidden = move |state: &driftq_core::State| {
            let topic = state.topic(&at.topic)?;
            let at = MessageAt { topic: topic.id, partition: at.partition, offset: at.offset };
            Some(!scope.sees_dead_letter(state, at))
        };
        let is_hidden = broker.look(is_hidden).await?.unwrap_or(false);
        return if is_hidden { Err(Rejection::UnknownDeadLetter.into()) } else { Ok(()) };
    }
    if has("run_id") {
        let Ok(RunParam(id)) = RunParam::from_request_parts(parts, app).await else { return Ok(()) };
        let asked = id.clone();
        let is_hidden = move |state: &driftq_core::State| Some(!scope.sees_run(state, &*state.run(&asked)?));
        let is_hidden = broker.look(is_hidden).await?.unwrap_or(false);
        return if is_hidden { Err(runs::unknown(&id)) } else { Ok(()) };
    }
    if has("topic") {
        let Ok(TopicParam(name)) = TopicParam::from_request_parts(parts, app).await else { return Ok(()) };
        let asked = name.clone();
        let is_hidden =
            move |state: &driftq_core::State| Some(!scope.sees_topic(state, state.topic(&asked)?));
        let is_hidden = broker.look(is_hidden).await?.unwrap_or(false);
        return if is_hidden { Err(topics::unknown(&name)) } else { Ok(()) };
    }
    Ok(())
}
