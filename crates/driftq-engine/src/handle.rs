//! What callers hold: one typed method a command, over the bounded queue to the writer.
//!
//! Promise: each future ends when its answer is durable, or with a [`Refusal`]. Dropping a future withdraws nothing that
//! was decided, except deliveries: what nobody takes is given back, uncounted.

use crate::inbox::{Inbox, Status};
use crate::{Bodies, Refusal};
use driftq_core::{
    Ack, AppendEvents, AuditEntry, Audited, CancelRun, Command, ControlRedriveJob, CreateRun, CreateTopic,
    DeleteGroup, DeleteTopic, Delivery, Discard, Entry, Extend, GroupId, GroupName, Held, JobNo, MessageOf,
    Millis, Nack, Offset, OpenGroup, OwnerId, PartitionId, PatchTopic, Position, Produce, Produced, Redrive,
    ReplayRun, ReplaySeq, Reply, RetryNow, Run, RunId, RunNo, RunStatus, Scope, SeekGroup, Start,
    StartRedriveJob, State, StoreStep, TenantId, TopicId, TopicName, WallTime,
};
use futures_channel::oneshot;
use std::collections::VecDeque;
use std::sync::Arc;

/// A handle to a running engine. Clones are cheap and equal.
#[derive(Clone)]
pub struct Broker {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) scope: Option<Arc<Scope>>,
    pub(crate) audit: Option<Arc<AuditEntry>>,
}

/// A caller that waits for an answer.
pub(crate) type Respond<T> = oneshot::Sender<Result<T, Refusal>>;

/// Runs on the writer's thread and looks at the state; what it returns runs once what was seen is durable.
pub(crate) type Look = Box<dyn FnOnce(&State, &dyn Readers) -> Box<dyn FnOnce() + Send> + Send>;

/// Who is connected at this moment.
pub trait Readers {
    /// Polls and streams of a group that are open.
    fn of(&self, group: GroupId) -> u64;

    /// Polls and streams of all groups that are open.
    fn all(&self) -> u64;
}

pub(crate) type ConsumerId = u64;

/// What the writer is asked.
pub(crate) enum Request {
    Command { command: Command, scope: Option<Arc<Scope>>, respond: Respond<Reply> },
    OpenConsumer { id: ConsumerId, open: OpenConsumer, scope: Option<Arc<Scope>>, respond: Respond<()> },
    Pull { id: ConsumerId, max: u32, bytes_max: u64, respond: Respond<Deliveries> },
    CloseConsumer { id: ConsumerId },
    Poll { poll: Poll, scope: Option<Arc<Scope>>, respond: Respond<Deliveries> },
    GiveBack { held: Vec<Held> },
    Look(Look),
    Follow { run: RunId, after: u64, max: usize, bytes_max: u64, respond: Respond<Timeline> },
    RunEnd { run: RunId, wait: Millis, respond: Respond<()> },
    Advance { by: Millis, respond: Respond<WallTime> },
    JobEnd { job: JobNo, wait: Millis, respond: Respond<()> },
    Drain,
    Stop,
}

impl Request {
    /// Whether it only gives something back.
    pub(crate) fn is_release(&self) -> bool {
        match self {
            Self::CloseConsumer { .. } | Self::GiveBack { .. } | Self::Drain | Self::Stop => true,
            Self::Command { .. }
            | Self::OpenConsumer { .. }
            | Self::Pull { .. }
            | Self::Poll { .. }
            | Self::Look(_)
            | Self::Follow { .. }
            | Self::RunEnd { .. }
            | Self::Advance { .. }
            | Self::JobEnd { .. } => false,
        }
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Command { .. } => "Command",
            Self::OpenConsumer { .. } => "OpenConsumer",
            Self::Pull { .. } => "Pull",
            Self::CloseConsumer { .. } => "CloseConsumer",
            Self::Poll { .. } => "Poll",
            Self::GiveBack { .. } => "GiveBack",
            Self::Look(_) => "Look",
            Self::Follow { .. } => "Follow",
            Self::RunEnd { .. } => "RunEnd",
            Self::Advance { .. } => "Advance",
            Self::JobEnd { .. } => "JobEnd",
            Self::Drain => "Drain",
            Self::Stop => "Stop",
        })
    }
}

/// How a stream of deliveries is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenConsumer {
    /// The topic.
    pub topic: TopicName,
    /// The group; made if it is not there.
    pub group: GroupName,
    /// Who gets the leases.
    pub owner: OwnerId,
    /// How long each lease is.
    pub lease: Millis,
    /// How many unsettled leases this stream may hold at once, at least 1.
    pub max_in_flight: u32,
    /// Where a new group begins.
    pub start: Start,
    /// The worker's own version.
    pub worker_version: Option<String>,
}

/// One request for messages that are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Topic, group, owner, lease; `max_in_flight` is how many messages at most.
    pub consumer: OpenConsumer,
    /// How long to wait for the first.
    pub wait: Millis,
    /// Bytes at most; one message is always allowed.
    pub bytes_max: u64,
}

impl Broker {
    /// What can be said without asking the writer.
    #[must_use]
    pub fn status(&self) -> Status {
        self.inbox.status()
    }

    /// Where message bodies are read.
    #[must_use]
    pub fn bodies(&self) -> &Arc<Bodies> {
        &self.bodies
    }

    /// A handle that commands, consumes and polls only within this scope. Looks are their caller's to narrow.
    #[must_use]
    pub fn within(&self, scope: Arc<Scope>) -> Self {
        Self { scope: Some(scope), ..self.clone() }
    }

    /// A handle whose commands stand in the audit log with this entry, as far as they change anything.
    #[must_use]
    pub fn acting(&self, entry: AuditEntry) -> Self {
        Self { audit: Some(Arc::new(entry)), ..self.clone() }
    }

    /// Writes an entry of the audit log about what was done elsewhere.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn tell(&self, entry: AuditEntry) -> Result<(), Refusal> {
        let told = Command::Audited(Box::new(Audited { act: None, entry }));
        self.ask(|respond| Request::Command { command: told, scope: None, respond }).await.map(drop)
    }

    /// What this handle may see; by default everything.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope.as_deref().cloned().unwrap_or_default()
    }

    /// The tenant to which this handle is bound, if it is.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantId> {
        self.scope.as_ref()?.tenant.as_ref()
    }

    /// Makes a topic if it is not there; answers its partitions and whether it was made.
    ///
    /// # Errors
    ///
    /// [`Refusal`], as for every method here.
    pub async fn create_topic(&self, create: CreateTopic) -> Result<(u32, bool), Refusal> {
        match self.command(Command::CreateTopic(create)).await? {
            Reply::Topic { partitions, created } => Ok((partitions, created)),
            other => unreachable!("create_topic was answered with {other:?}"),
        }
    }

    /// Appends messages, all or none.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn produce(&self, messages: Vec<Produce>) -> Result<Vec<Produced>, Refusal> {
        match self.command(Command::Produce(messages)).await? {
            Reply::Produced(produced) => Ok(produced),
            other => unreachable!("produce was answered with {other:?}"),
        }
    }

    /// Opens a stream of deliveries. Dropping the consumer closes it; its leases stay with their owner.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn open_consumer(&self, open: OpenConsumer) -> Result<Consumer, Refusal> {
        let id = self.bodies.next_consumer();
        // Made before it is asked for: whoever goes away meanwhile closes it.
        let consumer = Consumer { id, broker: self.clone() };
        let scope = self.scope.clone();
        self.ask(|respond| Request::OpenConsumer { id, open, scope, respond }).await?;
        Ok(consumer)
    }

    /// Leases what is due, waiting for the first message; empty when the wait is over or the broker drains.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn poll(&self, poll: Poll) -> Result<Deliveries, Refusal> {
        let scope = self.scope.clone();
        self.ask(|respond| Request::Poll { poll, scope, respond }).await
    }

    /// Settles a message.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn ack(&self, ack: Ack) -> Result<(), Refusal> {
        self.command(Command::Ack(ack)).await.map(drop)
    }

    /// Fails an attempt.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn nack(&self, nack: Nack) -> Result<(), Refusal> {
        self.command(Command::Nack(Box::new(nack))).await.map(drop)
    }

    /// Moves a lease's end; answers it on the wall clock.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn extend(&self, extend: Extend) -> Result<WallTime, Refusal> {
        match self.command(Command::Extend(extend)).await? {
            Reply::Extended { until } => Ok(until),
            other => unreachable!("extend was answered with {other:?}"),
        }
    }

    /// Creates a run; answers its ordinal and whether an idempotency key found an earlier one.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn create_run(&self, create: CreateRun) -> Result<(RunNo, bool), Refusal> {
        match self.command(Command::CreateRun(Box::new(create))).await? {
            Reply::RunCreated { run, duplicate } => Ok((run, duplicate)),
            other => unreachable!("create_run was answered with {other:?}"),
        }
    }

    /// Appends a worker's events; answers the first one's sequence number and their count.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn append_events(&self, append: AppendEvents) -> Result<(u64, u64), Refusal> {
        match self.command(Command::AppendEvents(append)).await? {
            Reply::EventsAppended { first_seq, count } => Ok((first_seq, count)),
            other => unreachable!("append_events was answered with {other:?}"),
        }
    }

    /// Stores a step's output once; answers whether it was stored now and the record that holds it.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn store_step(&self, store: StoreStep) -> Result<(bool, Position), Refusal> {
        match self.command(Command::StoreStep(Box::new(store))).await? {
            Reply::StepStored { stored, output } => Ok((stored, output)),
            other => unreachable!("store_step was answered with {other:?}"),
        }
    }

    /// Starts an ended run again.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn replay_run(&self, replay: ReplayRun) -> Result<ReplaySeq, Refusal> {
        match self.command(Command::ReplayRun(Box::new(replay))).await? {
            Reply::RunReplayed { replay_seq, .. } => Ok(replay_seq),
            other => unreachable!("replay_run was answered with {other:?}"),
        }
    }

    /// Ends a run.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn cancel_run(&self, cancel: CancelRun) -> Result<(), Refusal> {
        self.command(Command::CancelRun(cancel)).await.map(drop)
    }

    /// Appends a dead letter's message anew, or replays its run: [`Reply::Redriven`] or [`Reply::RunReplayed`].
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn redrive(&self, redrive: Redrive) -> Result<Reply, Refusal> {
        self.command(Command::Redrive(Box::new(redrive))).await
    }

    /// Throws a dead letter away.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn discard(&self, discard: Discard) -> Result<(), Refusal> {
        self.command(Command::Discard(discard)).await.map(drop)
    }

    /// Changes a topic's settings; answers its incarnation.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn patch_topic(&self, patch: PatchTopic) -> Result<TopicId, Refusal> {
        match self.command(Command::PatchTopic(Box::new(patch))).await? {
            Reply::TopicPatched { topic } => Ok(topic),
            other => unreachable!("patch_topic was answered with {other:?}"),
        }
    }

    /// Deletes a topic; its consumers end.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn delete_topic(&self, delete: DeleteTopic) -> Result<(), Refusal> {
        self.command(Command::DeleteTopic(delete)).await.map(drop)
    }

    /// Moves a group; answers the partitions that were moved, and the first offset that comes again in each.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn seek_group(&self, seek: SeekGroup) -> Result<Vec<(PartitionId, Offset)>, Refusal> {
        match self.command(Command::SeekGroup(Box::new(seek))).await? {
            Reply::Sought { partitions } => Ok(partitions),
            other => unreachable!("seek_group was answered with {other:?}"),
        }
    }

    /// Forgets a group; its consumers end.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn delete_group(&self, delete: DeleteGroup) -> Result<(), Refusal> {
        self.command(Command::DeleteGroup(delete)).await.map(drop)
    }

    /// Ends a backoff or a delay: [`Reply::MadeDue`].
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn retry_now(&self, ask: RetryNow) -> Result<Reply, Refusal> {
        self.command(Command::RetryNow(Box::new(ask))).await
    }

    /// Looks at the state on the writer's thread; the answer comes when all it saw is durable. Look briefly.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn look<T, F>(&self, look: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&State) -> T + Send + 'static,
    {
        self.look_with_readers(|state, _| look(state)).await
    }

    /// Looks at the state, and at who is connected; otherwise as [`Self::look`].
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn look_with_readers<T, F>(&self, look: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&State, &dyn Readers) -> T + Send + 'static,
    {
        let (respond, answer) = oneshot::channel();
        let request = Request::Look(Box::new(move |state, readers| {
            let seen = look(state, readers);
            Box::new(move || {
                // A caller that went away needs no answer.
                let _gone = respond.send(seen);
            })
        }));
        self.inbox.push(request).map_err(|_| self.why_refused())?;
        answer.await.map_err(|_| Refusal::Stopped)
    }

    /// Events of a run behind `after`, as soon as there is one; empty when the broker drains.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn follow(
        &self,
        run: RunId,
        after: u64,
        max: usize,
        bytes_max: u64,
    ) -> Result<Timeline, Refusal> {
        self.ask(|respond| Request::Follow { run, after, max, bytes_max, respond }).await
    }

    /// Waits until a run has ended, at most `wait`.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn run_end(&self, run: RunId, wait: Millis) -> Result<(), Refusal> {
        self.ask(|respond| Request::RunEnd { run, wait, respond }).await
    }

    /// Lets that much time pass on a clock that is moved by hand; answers the wall clock's time once everything that
    /// became due is done. On a clock that goes by itself nothing passes.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn advance(&self, by: Millis) -> Result<WallTime, Refusal> {
        self.ask(|respond| Request::Advance { by, respond }).await
    }

    /// Starts a bulk redrive; answers its ordinal and whether an idempotency key found an earlier one.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn start_redrive_job(&self, start: StartRedriveJob) -> Result<(JobNo, bool), Refusal> {
        match self.command(Command::StartRedriveJob(Box::new(start))).await? {
            Reply::RedriveJob { job, duplicate } => Ok((job, duplicate)),
            other => unreachable!("start_redrive_job was answered with {other:?}"),
        }
    }

    /// Pauses, resumes or stops a bulk redrive.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn control_redrive_job(&self, control: ControlRedriveJob) -> Result<(), Refusal> {
        self.command(Command::ControlRedriveJob(control)).await.map(drop)
    }

    /// Waits while a bulk redrive is running, at most `wait`.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn job_end(&self, job: JobNo, wait: Millis) -> Result<(), Refusal> {
        self.ask(|respond| Request::JobEnd { job, wait, respond }).await
    }

    /// Takes nothing new from now on; polls and streams end empty.
    pub fn drain(&self) {
        let _stopped = self.inbox.push(Request::Drain);
    }

    /// Ends the engine after what is queued: synced, with a clean mark.
    pub fn stop(&self) {
        let _stopped = self.inbox.push(Request::Stop);
    }

    pub(crate) fn give_back(&self, held: Vec<Held>) {
        if !held.is_empty() {
            // After a stop the leases simply end by themselves.
            let _stopped = self.inbox.push(Request::GiveBack { held });
        }
    }

    /// Carries out any command.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn command(&self, command: Command) -> Result<Reply, Refusal> {
        let scope = self.scope.clone();
        let command = match &self.audit {
            Some(entry) => {
                Command::Audited(Box::new(Audited { act: Some(command), entry: (**entry).clone() }))
            }
            None => command,
        };
        self.ask(|respond| Request::Command { command, scope, respond }).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Respond<T>) -> Request) -> Result<T, Refusal> {
        let (respond, answer) = oneshot::channel();
        self.inbox.push(request(respond)).map_err(|_| self.why_refused())?;
        answer.await.map_err(|_| Refusal::Stopped)?
    }

    fn why_refused(&self) -> Refusal {
        match self.inbox.phase() {
            crate::Phase::Ready | crate::Phase::Draining => Refusal::Overloaded,
            crate::Phase::Stopped => Refusal::Stopped,
        }
    }
}

/// An open stream of deliveries.
pub struct Consumer {
    id: ConsumerId,
    broker: Broker,
}

impl Consumer {
    /// The next deliveries, at most `max` and `bytes_max` (one is always allowed); waits until there is one and the
    /// stream may hold it. Empty when the broker drains, or the group was deleted.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn next(&mut self, max: u32, bytes_max: u64) -> Result<Deliveries, Refusal> {
        let id = self.id;
        self.broker.ask(|respond| Request::Pull { id, max, bytes_max, respond }).await
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let _stopped = self.broker.inbox.push(Request::CloseConsumer { id: self.id });
    }
}

/// Leased messages on their way to their worker. What is dropped without having been taken is given back, uncounted.
pub struct Deliveries {
    taken: VecDeque<Delivery>,
    broker: Broker,
}

impl Deliveries {
    pub(crate) fn new(taken: Vec<Delivery>, broker: Broker) -> Self {
        Self { taken: taken.into(), broker }
    }

    /// How many are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// The deliveries, to be prepared; they stay here until they are taken.
    pub fn peek(&self) -> impl Iterator<Item = &Delivery> {
        self.taken.iter()
    }

    /// Takes the first one: from now on it counts as handed to its worker.
    pub fn take_first(&mut self) -> Option<Delivery> {
        self.taken.pop_front()
    }

    /// Takes all: from now on they count as handed to their worker.
    pub fn take_all(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.taken).into()
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.broker.give_back(held(self.taken.iter()));
    }
}

pub(crate) fn held<'a>(deliveries: impl Iterator<Item = &'a Delivery>) -> Vec<Held> {
    let of = |d: &Delivery| MessageOf { group: d.group, partition: d.at.partition, offset: d.at.offset };
    deliveries.map(|delivery| Held { of: of(delivery), lease: delivery.lease }).collect()
}

/// A piece of a run's timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// How the run stands.
    pub status: RunStatus,
    /// Its present try.
    pub replay_seq: ReplaySeq,
    /// Its events' topic.
    pub topic: TopicId,
    /// The first sequence number that is kept.
    pub first_seq: u64,
    /// The newest sequence number; 0 when there is no event.
    pub last_seq: u64,
    /// Events in order, without a gap.
    pub items: Vec<TimelineItem>,
}

/// One event of a timeline, by the record that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineItem {
    /// Its sequence number: offset + 1.
    pub seq: u64,
    /// The record.
    pub position: Position,
}

/// Cuts a piece out of a timeline.
pub(crate) fn timeline(state: &State, run: &Run, after: u64, max: usize, bytes_max: u64) -> Option<Timeline> {
    let topic = state.topics.get(&run.timeline)?;
    let partition = topic.partitions.first()?;
    let mut items = Vec::new();
    let mut bytes = 0_u64;
    let mut seq = after.saturating_add(1);
    while items.len() < max {
        let Some(Entry { position, bytes: own, .. }) = partition.entry(Offset(seq - 1)) else {
            break;
        };
        bytes += u64::from(own);
        if !items.is_empty() && bytes > bytes_max {
            break;
        }
        items.push(TimelineItem { seq, position });
        seq += 1;
    }
    Some(Timeline {
        status: run.status,
        replay_seq: run.replay_seq,
        topic: topic.id,
        first_seq: partition.first.0 + 1,
        last_seq: partition.next_offset().0,
        items,
    })
}

impl Broker {
    /// Makes a group if it is not there.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn open_group(&self, open: OpenGroup) -> Result<(), Refusal> {
        self.command(Command::OpenGroup(open)).await.map(drop)
    }
}
