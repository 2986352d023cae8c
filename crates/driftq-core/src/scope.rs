//! Which part of a broker somebody may see: topics by the beginning of their names, runs and messages by their tenant.
//!
//! Promise: what is out of scope is refused in the very words in which what does not exist is refused, so nobody learns
//! of it; the names of what would be made are refused by the name alone. A new command does not compile until it says
//! here what it touches.

use crate::names::DLQ_PREFIX;
use crate::{
    CancelRun, Claim, Command, CreateRun, DeadLetterAt, MessageAt, MessageTarget, Produce, RedriveJob,
    Rejection, Run, RunId, RunNo, State, TenantId, Topic, TopicKind, TopicName,
};
use alloc::{string::String, string::ToString, vec::Vec};
use serde::{Deserialize, Serialize};

/// What somebody may see; by default everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Only topics whose names, without `dlq.`, begin with one of these.
    pub prefixes: Option<Vec<String>>,
    /// Only what belongs to this tenant.
    pub tenant: Option<TenantId>,
    /// Only this run.
    pub run: Option<RunNo>,
}

impl Scope {
    /// Whether nothing is hidden.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all that lies in the topics it sees may be read: a topic that several tenants share holds messages of
    /// others, so a tenant reads only topics under prefixes of its own.
    #[must_use]
    pub fn reads_messages(&self) -> bool {
        self.run.is_none() && (self.tenant.is_none() || self.prefixes.is_some())
    }

    /// Whether a topic of this name would be seen.
    #[must_use]
    pub fn sees_name(&self, name: &TopicName) -> bool {
        let name = original_name(name.as_str());
        let is_begun = |prefix: &String| name.starts_with(prefix.as_str());
        self.run.is_none() && self.prefixes.as_ref().is_none_or(|prefixes| prefixes.iter().any(is_begun))
    }

    /// Whether this topic is seen: a run's timeline like its run, dead letters like their original.
    #[must_use]
    pub fn sees_topic(&self, state: &State, topic: &Topic) -> bool {
        match timeline_of(state, topic) {
            Some(run) => state.runs.get(&run).is_some_and(|run| self.sees_run(state, &run)),
            None => self.sees_name(&topic.name),
        }
    }

    /// Whether this run is seen: by its tenant, and by the topic of its commands.
    #[must_use]
    pub fn sees_run(&self, state: &State, run: &Run) -> bool {
        let is_own = self.tenant.as_ref().is_none_or(|tenant| run.tenant.as_ref() == Some(tenant));
        let is_named = match &self.run {
            Some(only) => *only == run.no,
            None => {
                let commands = state.topics.get(&run.command.topic);
                // Of a deleted topic nobody knows the name: only who sees all names sees what came from it.
                commands.map_or(self.prefixes.is_none(), |topic| self.sees_name(&topic.name))
            }
        };
        is_own && is_named
    }

    /// Whether this dead letter is seen: by its topic, and by its message's tenant.
    #[must_use]
    pub fn sees_dead_letter(&self, state: &State, at: MessageAt) -> bool {
        let Some(topic) = state.topics.get(&at.topic) else { return false };
        let entry = topic.partition(at.partition).and_then(|partition| partition.entry(at.offset));
        let tenant = entry.as_ref().and_then(|entry| topic.tenant(entry));
        match state.dead_letter(at).and_then(|dead| dead.run) {
            Some(of) => state.runs.get(&of.run).is_some_and(|run| self.sees_run(state, &run)),
            None => self.sees_dead_letters_of(state, topic, tenant),
        }
    }

    /// Whether the dead letters of this tenant in this topic are seen.
    pub(crate) fn sees_dead_letters_of(
        &self,
        state: &State,
        topic: &Topic,
        tenant: Option<&TenantId>,
    ) -> bool {
        let is_own = self.tenant.is_none() || tenant == self.tenant.as_ref();
        is_own && self.sees_topic(state, topic)
    }

    /// Whether this bulk redrive is seen: by whoever sees everything, and by those with the scope it was started with.
    #[must_use]
    pub fn sees_job(&self, job: &RedriveJob) -> bool {
        self.is_whole() || *self == job.spec.filter.scope
    }

    /// Refuses a command that touches what is out of scope.
    ///
    /// # Errors
    ///
    /// The [`Rejection`] that the command would get if there were no such thing, or [`Rejection::OutOfScope`] where it
    /// would make one.
    pub fn admit(&self, state: &State, command: &Command) -> Result<(), Rejection> {
        match command {
            Command::CreateTopic(create) => self.admit_new(state, &create.name, "name"),
            Command::Produce(messages) => {
                messages.iter().try_for_each(|message| self.admit_produce(state, message))
            }
            Command::OpenGroup(open) => self.admit_topic(state, &open.topic),
            Command::Ack(ack) => self.admit_claim(state, &ack.claim),
            Command::Nack(nack) => self.admit_claim(state, &nack.claim),
            Command::Extend(extend) => self.admit_claim(state, &extend.claim),
            Command::CreateRun(create) => self.admit_new_run(state, create),
            Command::AppendEvents(append) => self.admit_run(state, &append.run_id),
            Command::StoreStep(store) => self.admit_run(state, &store.run_id),
            Command::ReplayRun(replay) => self.admit_run(state, &replay.run_id),
            Command::CancelRun(CancelRun { run_id, .. }) => self.admit_run(state, run_id),
            Command::Redrive(redrive) => {
                self.admit_dead_letter(state, &redrive.dead_letter)?;
                redrive.target_topic.as_ref().map_or(Ok(()), |target| self.admit_topic(state, target))
            }
            Command::Discard(discard) => self.admit_dead_letter(state, &discard.dead_letter),
            Command::StartRedriveJob(start) => {
                let is_own = self.is_whole() || *self == start.spec.filter.scope;
                if is_own { Ok(()) } else { Err(Rejection::OutOfScope("filter")) }
            }
            Command::ControlRedriveJob(control) => {
                let is_seen = state.redrive_job(control.job).is_some_and(|job| self.sees_job(job));
                if is_seen { Ok(()) } else { Err(Rejection::UnknownJob(control.job)) }
            }
            Command::PatchTopic(patch) => self.admit_topic(state, &patch.topic),
            Command::DeleteTopic(delete) => self.admit_topic(state, &delete.topic),
            Command::SeekGroup(seek) => self.admit_topic(state, &seek.topic),
            Command::DeleteGroup(delete) => self.admit_topic(state, &delete.topic),
            Command::RetryNow(ask) => self.admit_message(state, &ask.target),
            Command::Audited(audited) => audited.act.as_ref().map_or(Ok(()), |act| self.admit(state, act)),
            // The writer's own: for groups that were opened within the scope.
            Command::Lease(_) | Command::GiveBack(_) => Ok(()),
        }
    }

    fn admit_topic(&self, state: &State, name: &TopicName) -> Result<(), Rejection> {
        let is_seen = match state.topic(name) {
            Some(topic) => self.sees_topic(state, topic),
            None => self.sees_name(name),
        };
        if is_seen { Ok(()) } else { Err(Rejection::UnknownTopic(name.as_str().to_string())) }
    }

    /// Refuses to speak of a message that is out of scope.
    ///
    /// # Errors
    ///
    /// The [`Rejection`] that there is no such topic or run.
    pub fn admit_message(&self, state: &State, target: &MessageTarget) -> Result<(), Rejection> {
        match target {
            MessageTarget::Message { topic, .. } => self.admit_topic(state, topic),
            MessageTarget::Run(run_id) => self.admit_run(state, run_id),
        }
    }

    fn admit_claim(&self, state: &State, claim: &Claim) -> Result<(), Rejection> {
        self.admit_topic(state, &claim.topic)
    }

    fn admit_new(&self, state: &State, name: &TopicName, field: &'static str) -> Result<(), Rejection> {
        self.admit_topic(state, name).map_err(|_| Rejection::OutOfScope(field))
    }

    fn admit_produce(&self, state: &State, produce: &Produce) -> Result<(), Rejection> {
        self.admit_topic(state, &produce.topic)?;
        produce.target_topic.as_ref().map_or(Ok(()), |target| self.admit_topic(state, target))?;
        self.admit_tenant(produce.tenant.as_ref())
    }

    fn admit_tenant(&self, tenant: Option<&TenantId>) -> Result<(), Rejection> {
        let is_own = self.tenant.is_none() || tenant == self.tenant.as_ref();
        if is_own { Ok(()) } else { Err(Rejection::OutOfScope("tenant_id")) }
    }

    fn admit_new_run(&self, state: &State, create: &CreateRun) -> Result<(), Rejection> {
        self.admit_new(state, &create.topic, "topic")?;
        self.admit_tenant(create.tenant.as_ref())
    }

    fn admit_run(&self, state: &State, id: &RunId) -> Result<(), Rejection> {
        let is_seen = state.run(id).is_some_and(|run| self.sees_run(state, &run));
        if is_seen { Ok(()) } else { Err(Rejection::UnknownRun(id.as_str().to_string())) }
    }

    fn admit_dead_letter(&self, state: &State, at: &DeadLetterAt) -> Result<(), Rejection> {
        let topic = state.topic(&at.topic).ok_or(Rejection::UnknownDeadLetter)?;
        let place = MessageAt { topic: topic.id, partition: at.partition, offset: at.offset };
        if self.sees_dead_letter(state, place) { Ok(()) } else { Err(Rejection::UnknownDeadLetter) }
    }
}

/// The name without what marks dead letters.
fn original_name(mut name: &str) -> &str {
    while let Some(rest) = name.strip_prefix(DLQ_PREFIX) {
        name = rest;
    }
    name
}

/// The run whose timeline this topic is, or whose timeline's dead letters it holds.
fn timeline_of(state: &State, topic: &Topic) -> Option<RunNo> {
    let kind = match topic.kind {
        TopicKind::DeadLetters => {
            let original = TopicName::parse(original_name(topic.name.as_str())).ok()?;
            state.topic(&original)?.kind
        }
        TopicKind::Plain | TopicKind::Timeline(_) => topic.kind,
    };
    match kind {
        TopicKind::Timeline(run) => Some(run),
        TopicKind::Plain | TopicKind::DeadLetters => None,
    }
}
