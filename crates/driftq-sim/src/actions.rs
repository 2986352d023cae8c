//! From a plan's steps to calls and faults.
//!
//! Promise: small numbers of a step are resolved against what the clients know at that moment, so that each step means
//! something in every cut of its plan.

use crate::calls::Ask;
use crate::model::Verdict;
use crate::operators::Names;
use crate::plan::{Fate, Input, Message, Op, Pick, Take, Way, Who};
use crate::workload::COMMANDS;
use crate::world::{InHand, Stream, World};
use driftq_core::{
    Ack, AppendEvents, CancelRun, Claim, Command, Content, ControlRedriveJob, CreateRun, CreateTopic,
    DeadLetterAt, DeadLetterFilter, Discard, Due, ErrorInfo, Extend, GroupName, IdempotencyKey, JobAct,
    JobNo, LeaseId, Millis, Nack, NewInput, OwnerId, Position, Produce, Redrive, RedriveSpec, ReplayRun,
    RunId, SHARE_ONE, Start, StartRedriveJob, StepName, StoreStep, TenantId, TopicName, WallTime,
    WorkerEvent, WorkflowName,
};
use driftq_engine::{OpenConsumer, Poll};
use driftq_log::{Fault, Operation};
use std::time::Duration;

/// How many of a worker's newest deliveries he thinks of.
const RECENT: usize = 24;
/// Wake-ups that one wait may take.
const WAKES_MAX: usize = 100;

impl World {
    /// Carries out one step of a plan.
    pub(crate) fn act(&mut self, op: &Op) -> Verdict {
        match op {
            Op::Topic { .. } | Op::Produce { .. } | Op::Redrive { .. } | Op::Discard { .. } => self.feed(op),
            Op::Job { .. } | Op::Control { .. } => self.job(op),
            Op::Open { .. } | Op::Pull { .. } | Op::Close { .. } | Op::Poll { .. } | Op::HangUp => {
                self.consume(op)
            }
            Op::Ack { .. } | Op::Nack { .. } | Op::Extend { .. } => self.settle_claim(op),
            Op::Run { .. }
            | Op::Events { .. }
            | Op::Step { .. }
            | Op::Replay { .. }
            | Op::Cancel { .. }
            | Op::Follow { .. }
            | Op::RunEnd { .. } => self.run(op),
            Op::Patch { .. }
            | Op::DeleteTopic { .. }
            | Op::DeleteGroup { .. }
            | Op::Seek { .. }
            | Op::RetryNow { .. } => {
                let names = Names { topic: topic_name, group: group_name, run: run_id };
                let (ask, fate) = self.operation(op, &names)?;
                self.call(ask, fate)
            }
            Op::Look => self.call_now(Ask::Look),
            Op::Wait { ms } => self.wait(*ms),
            Op::Freeze { ms } => {
                self.clock.advance(Duration::from_millis(*ms));
                self.settle()
            }
            Op::Jump { ms } => {
                let wall = self.wall().0.saturating_add_signed(*ms);
                self.clock.jump_wall(WallTime(wall.clamp(1, 1 << 44)));
                self.marks.hit("wall jump");
                self.settle()
            }
            Op::Crash { .. }
            | Op::CrashAt { .. }
            | Op::CrashAgainAt { .. }
            | Op::FailSync { .. }
            | Op::FailWrite { .. }
            | Op::Stutter { .. }
            | Op::Fill { .. }
            | Op::Room
            | Op::Drain
            | Op::Restart => self.break_something(op),
        }
    }

    fn call(&mut self, ask: Ask, fate: Fate) -> Verdict {
        self.call_and_take(ask, fate, Take::All)
    }

    fn call_now(&mut self, ask: Ask) -> Verdict {
        self.call(ask, Fate::default())
    }

    fn call_and_take(&mut self, ask: Ask, fate: Fate, take: Take) -> Verdict {
        match fate.way {
            Way::Once => self.send(ask, take, fate.deaf, None),
            Way::Twice => {
                self.send(ask.clone(), take, fate.deaf, None);
                self.send(ask, take, false, None);
            }
            Way::Late(ms) => {
                let at = Millis(self.now().0 + ms);
                self.late.push((at, ask, take));
            }
        }
        if fate.hold { Ok(()) } else { self.settle() }
    }

    /// Lets time pass; the broker wakes when it said it would.
    pub(crate) fn wait(&mut self, ms: u64) -> Verdict {
        let end = self.now().0 + ms;
        for _ in 0..WAKES_MAX {
            let now = self.now().0;
            let Some(node) = self.node.as_ref().filter(|_| now < end) else { break };
            let late = self.late.iter().map(|(at, _, _)| at.0.saturating_sub(now)).min();
            let wake = node.next_wake().map(|wake| u64::try_from(wake.as_millis()).unwrap_or(u64::MAX));
            let wake = [wake, late, Some(end - now)].into_iter().flatten().min().unwrap_or(0);
            self.clock.advance(Duration::from_millis(wake.clamp(1, end - now)));
            self.settle()?;
        }
        let left = end.saturating_sub(self.now().0);
        self.clock.advance(Duration::from_millis(left));
        self.settle()
    }

    fn feed(&mut self, op: &Op) -> Verdict {
        match op {
            Op::Topic { topic, partitions, fate } => {
                let partitions = Some(*partitions).filter(|count| *count > 0);
                let create = CreateTopic::plain(topic_name(*topic), partitions);
                self.call(Ask::Command(Command::CreateTopic(create)), *fate)
            }
            Op::Produce { messages, fate } => {
                let messages = messages.iter().map(|message| self.produce(message)).collect();
                self.call(Ask::Command(Command::Produce(messages)), *fate)
            }
            Op::Redrive { pick, value, target, all_groups, key, fate } => {
                let Some(dead_letter) = self.dead_letter(*pick) else { return Ok(()) };
                let value = value.then(|| self.unique("edited"));
                let redrive = Redrive {
                    dead_letter,
                    value,
                    target_topic: target.map(topic_name),
                    all_groups: *all_groups,
                    key: "key-1".to_owned(),
                    idempotency: key.map(|key| idempotency(key, 0, None)),
                    actor: None,
                    reason: None,
                };
                self.call(Ask::Command(Command::Redrive(Box::new(redrive))), *fate)
            }
            Op::Discard { pick, fate } => {
                let Some(dead_letter) = self.dead_letter(*pick) else { return Ok(()) };
                let discard = Discard { dead_letter, reason: "of no use".to_owned(), actor: None };
                self.call(Ask::Command(Command::Discard(discard)), *fate)
            }
            _ => Ok(()),
        }
    }

    fn job(&mut self, op: &Op) -> Verdict {
        let (command, fate) = match op {
            Op::Job { pick, filter, rate, canary, percent, key, fate } => {
                let start = StartRedriveJob {
                    spec: RedriveSpec {
                        filter: self.filter(*pick, *filter),
                        rate_milli: rate * 1_000,
                        canary: *canary,
                        stop_share: percent.map(|percent| percent * SHARE_ONE / 100),
                    },
                    idempotency: key.map(|key| idempotency(key, 0, None)),
                    actor: Some("ops".to_owned()),
                    // Tells one job from another that moves the same.
                    reason: key.map(|key| format!("with key {key}")),
                };
                (Command::StartRedriveJob(Box::new(start)), *fate)
            }
            Op::Control { pick, act, fate } => {
                // Mostly one that there is.
                let all: Vec<JobNo> = self.model.jobs.keys().copied().collect();
                let job = index(*pick, all.len()).map_or(JobNo(7), |at| all[at]);
                let act = match act {
                    0 | 1 => JobAct::Pause,
                    2..=4 => JobAct::Resume,
                    _ => JobAct::Stop,
                };
                (
                    Command::ControlRedriveJob(ControlRedriveJob {
                        job,
                        act,
                        actor: Some(format!("{act:?}")),
                        reason: None,
                    }),
                    *fate,
                )
            }
            _ => return Ok(()),
        };
        self.call(Ask::Command(command), fate)
    }

    /// A filter that some dead letter passes, with one field or none.
    fn filter(&self, pick: u32, field: u8) -> DeadLetterFilter {
        let none = DeadLetterFilter::default();
        let all = self.model.dead_letters();
        let Some((at, dead)) = index(pick, all.len()).map(|number| &all[number]) else { return none };
        let topic = || {
            let original = self.model.topics.get(&dead.original.topic);
            original.map(|topic| topic.name.clone())
        };
        match field {
            0 => DeadLetterFilter { topic: topic(), ..none },
            1 => DeadLetterFilter { group: dead.group.clone(), ..none },
            2 => DeadLetterFilter { reason: Some(dead.reason), ..none },
            3 => DeadLetterFilter { fingerprint: dead.fingerprint, ..none },
            4 => {
                let message = self.model.message_at(*at);
                DeadLetterFilter { tenant: message.and_then(|message| message.tenant.clone()), ..none }
            }
            5 => DeadLetterFilter { run: dead.run.map(|of| of.run), since: Some(dead.wall), ..none },
            _ => none,
        }
    }

    /// A JSON string that no other call uses.
    fn unique(&mut self, what: &str) -> Vec<u8> {
        self.counter += 1;
        format!("\"{what} {}\"", self.counter).into_bytes()
    }

    fn produce(&mut self, message: &Message) -> Produce {
        let mut value = self.unique("message");
        let quote = value.pop();
        value.extend(std::iter::repeat_n(b'.', usize::try_from(message.padding).unwrap_or(0)));
        value.extend(quote);
        let key = if message.key == 0 { String::new() } else { format!("key-{}", message.key) };
        let content = Content { key: key.clone(), value, ..Content::default() }.encode();
        let wall = self.wall();
        let due = match message.delay_ms {
            None => Due::Now,
            Some(ms) if message.as_time => Due::At(WallTime(wall.0 + ms)),
            Some(ms) => Due::After(Millis(ms)),
        };
        Produce {
            topic: topic_name(message.topic),
            target_topic: message.target.map(topic_name),
            key,
            partition: message.partition,
            content,
            policy: message.policy.map(Into::into),
            due,
            deadline: message.deadline_ms.map(|ms| WallTime(wall.0.saturating_add_signed(ms))),
            idempotency: message.idempotency.map(|key| idempotency(key, message.tenant, message.fingerprint)),
            tenant: (message.tenant > 0).then(|| tenant(message.tenant)),
        }
    }

    /// An open dead letter, or now and then one that is closed, or a place where none is.
    fn dead_letter(&self, pick: u32) -> Option<DeadLetterAt> {
        let all = self.model.dead_letters();
        let open: Vec<_> = all.iter().filter(|(_, dead)| dead.closed.is_none()).collect();
        let list: Vec<_> =
            if pick.is_multiple_of(5) || open.is_empty() { all.iter().collect() } else { open };
        let (at, _) = list.get(index(pick, list.len())?)?;
        let topic = self.model.topics.get(&at.topic)?.name.clone();
        let offset = if pick.is_multiple_of(17) { at.offset.plus(100) } else { at.offset };
        Some(DeadLetterAt { topic, partition: at.partition, offset })
    }

    fn consume(&mut self, op: &Op) -> Verdict {
        match op {
            Op::Open { topic, group, owner, lease_ms, max_in_flight, latest } => {
                let open = consumer(*topic, *group, *owner, *lease_ms, *max_in_flight, *latest);
                let number = self.streams.len();
                let nobody =
                    Stream { open: open.clone(), consumer: None, is_open: false, leases: Vec::new() };
                self.streams.push(nobody);
                self.send(Ask::Open(open), Take::All, false, Some(number));
                self.settle()
            }
            Op::Pull { stream, max, bytes, take, deaf } => {
                let open: Vec<usize> =
                    (0..self.streams.len()).filter(|at| self.streams[*at].consumer.is_some()).collect();
                let Some(number) = index(*stream, open.len()).map(|at| open[at]) else { return Ok(()) };
                let ask = Ask::Pull { open: self.streams[number].open.clone(), max: *max, bytes: *bytes };
                self.send(ask, *take, *deaf, Some(number));
                self.settle()
            }
            Op::Close { stream } => {
                let open: Vec<usize> =
                    (0..self.streams.len()).filter(|at| self.streams[*at].consumer.is_some()).collect();
                let Some(number) = index(*stream, open.len()).map(|at| open[at]) else { return Ok(()) };
                self.streams[number].consumer = None;
                self.streams[number].is_open = false;
                self.settle()
            }
            Op::Poll { topic, group, owner, lease_ms, max, bytes, wait_ms, take, fate } => {
                let poll = Poll {
                    consumer: consumer(*topic, *group, *owner, *lease_ms, *max, false),
                    wait: Millis(*wait_ms),
                    bytes_max: *bytes,
                };
                self.call_and_take(Ask::Poll(poll), *fate, *take)
            }
            Op::HangUp => {
                self.hang_up();
                self.settle()
            }
            _ => Ok(()),
        }
    }

    /// Callers that wait for something go away.
    pub(crate) fn hang_up(&mut self) {
        for flight in &mut self.flights {
            if flight.future.take().is_some()
                && let Some(stream) = flight.stream.and_then(|at| self.streams.get_mut(at))
            {
                stream.is_open = false;
            }
        }
    }

    /// A claim as some worker would make it.
    fn claim(&mut self, pick: Pick) -> Option<(Claim, usize)> {
        let at = match pick.who {
            Who::Former => index(pick.pick, self.in_hand.len())?,
            Who::Holder | Who::Stranger | Who::Nobody => {
                let open = (0..self.in_hand.len()).rev().filter(|at| !self.in_hand[*at].is_done);
                let open: Vec<usize> = open.take(RECENT).collect();
                open[index(pick.pick, open.len())?]
            }
        };
        let InHand { delivery, topic, group, owner, .. } = self.in_hand[at].clone();
        let stranger = OwnerId::parse("stranger").ok()?;
        let offset = if pick.who == Who::Nobody { delivery.at.offset.plus(50) } else { delivery.at.offset };
        let claim = Claim {
            topic,
            group,
            partition: delivery.at.partition,
            offset,
            owner: if pick.who == Who::Stranger { stranger } else { owner },
            lease: pick.lease.then_some(delivery.lease),
        };
        Some((claim, at))
    }

    fn settle_claim(&mut self, op: &Op) -> Verdict {
        match op {
            Op::Ack { claim, result, fate } => {
                let is_holder = claim.who == Who::Holder;
                let Some((claim, at)) = self.claim(*claim) else { return Ok(()) };
                let is_run = self.in_hand[at].delivery.run.is_some();
                let result = (*result || is_run).then(|| self.unique("result"));
                self.in_hand[at].is_done |= is_holder;
                self.call(Ask::Command(Command::Ack(Ack { claim, result })), *fate)
            }
            Op::Nack { claim, retry_after_ms, retryable, fate } => {
                let is_holder = claim.who == Who::Holder;
                let Some((claim, at)) = self.claim(*claim) else { return Ok(()) };
                self.in_hand[at].is_done |= is_holder;
                self.counter += 1;
                let message = format!("failure {}", self.counter);
                let nack = Nack {
                    claim,
                    error: ErrorInfo { message, kind: None, stack: None },
                    retry_after: retry_after_ms.map(Millis),
                    retryable: *retryable,
                };
                self.call(Ask::Command(Command::Nack(Box::new(nack))), *fate)
            }
            Op::Extend { claim, lease_ms, fate } => {
                let Some((claim, _)) = self.claim(*claim) else { return Ok(()) };
                let extend = Extend { claim, lease: Millis(*lease_ms) };
                self.call(Ask::Command(Command::Extend(extend)), *fate)
            }
            _ => Ok(()),
        }
    }

    fn run(&mut self, op: &Op) -> Verdict {
        let (command, fate) = match op {
            Op::Run { run, topic, group, key, policy, delay_ms, fate } => {
                let create = CreateRun {
                    run_id: run_id(*run),
                    workflow: WorkflowName::parse("demo").map_err(|error| error.to_string())?,
                    input: self.unique("input"),
                    idempotency: key.map(|key| idempotency(key, 0, None)),
                    tenant: None,
                    topic: topic_name(*topic),
                    group: group_name(*group),
                    policy: (*policy).into(),
                    due: delay_ms.map_or(Due::Now, |ms| Due::After(Millis(ms))),
                    tags: Vec::new(),
                };
                (Command::CreateRun(Box::new(create)), fate)
            }
            Op::Events { run, count, fence, fate } => {
                let lease = match fence {
                    Some(pick) => self.run_lease(*run, *pick),
                    None => None,
                };
                let event = |json| WorkerEvent { json, ts: None };
                let events = (0..*count).map(|_| event(self.unique("event"))).collect();
                (Command::AppendEvents(AppendEvents { run_id: run_id(*run), events, lease }), fate)
            }
            Op::Step { run, claim, step, fate } => {
                let Some(lease) = self.run_lease(*run, *claim) else { return Ok(()) };
                let store = StoreStep {
                    run_id: run_id(*run),
                    step: step_name(*step),
                    lease,
                    output: self.unique("output"),
                    duration: None,
                };
                (Command::StoreStep(Box::new(store)), fate)
            }
            Op::Replay { run, input, from_step, fresh, fate } => {
                let input = self.new_input(*run, *input);
                let replay = ReplayRun {
                    run_id: run_id(*run),
                    input,
                    from_step: from_step.map(step_name),
                    fresh: *fresh,
                    actor: None,
                    reason: None,
                };
                (Command::ReplayRun(Box::new(replay)), fate)
            }
            Op::Cancel { run, fate } => {
                (Command::CancelRun(CancelRun { run_id: run_id(*run), actor: None }), fate)
            }
            Op::Follow { run, after, max, bytes } => {
                let run = run_id(*run);
                let last = self.model.last_seq(&run).unwrap_or(0);
                // Mostly from where something can be seen; now and then from ahead.
                let after = if after % 7 == 6 { last + 1 } else { after * last / 12 };
                let max = usize::try_from(*max).unwrap_or(1);
                return self.call_now(Ask::Follow { run, after, max, bytes: *bytes });
            }
            Op::RunEnd { run, wait_ms } => {
                return self.call_now(Ask::RunEnd { run: run_id(*run), wait: Millis(*wait_ms) });
            }
            _ => return Ok(()),
        };
        self.call(Ask::Command(command), *fate)
    }

    /// The lease by which somebody speaks for a run: his newest of it, or any he ever had.
    fn run_lease(&mut self, run: u8, pick: Pick) -> Option<LeaseId> {
        let id = run_id(run);
        let is_of_run =
            |held: &&InHand| held.delivery.run.as_ref().is_some_and(|context| context.run_id == id);
        let newest = self.in_hand.iter().rev().find(is_of_run).map(|held| held.delivery.lease);
        match pick.who {
            Who::Holder => newest.or_else(|| self.claim(pick).map(|(_, at)| self.in_hand[at].delivery.lease)),
            Who::Former | Who::Stranger | Who::Nobody => {
                let at = index(pick.pick, self.in_hand.len())?;
                Some(self.in_hand[at].delivery.lease)
            }
        }
    }

    fn new_input(&mut self, run: u8, input: Input) -> NewInput {
        let present = self.model.run_named(&run_id(run)).map_or(Position(0), |run| run.input);
        let changed = vec!["fail_at".to_owned()];
        match input {
            Input::Same => NewInput::Same,
            Input::Whole => NewInput::Whole(self.unique("input")),
            Input::Patched => NewInput::Patched { of: present, input: self.unique("patched"), changed },
            Input::StalePatch => {
                let of = Position(present.0 + 1);
                NewInput::Patched { of, input: self.unique("patched"), changed }
            }
        }
    }

    fn break_something(&mut self, op: &Op) -> Verdict {
        match op {
            Op::Crash { power } => {
                self.armed.power = *power;
                self.die(None)
            }
            Op::CrashAt { n, power } => {
                (self.armed.stop, self.armed.power) = (true, *power);
                self.disk.stop_at(*n);
                Ok(())
            }
            Op::CrashAgainAt { n } => {
                self.armed.again_at = Some(*n);
                Ok(())
            }
            Op::FailSync { n } => {
                self.armed.sync = true;
                self.disk.plan(Operation::Sync, *n, Fault::Error);
                Ok(())
            }
            Op::FailWrite { n } => {
                self.armed.write = true;
                self.disk.plan(Operation::Write, *n, Fault::Error);
                Ok(())
            }
            Op::Stutter { n } => {
                self.disk.stutter(*n);
                Ok(())
            }
            Op::Fill { spare_bytes } => {
                self.full = true;
                self.disk.limit(Some(self.disk.used() + spare_bytes));
                Ok(())
            }
            Op::Room => self.make_room(),
            Op::Drain => {
                self.draining = true;
                if let Some(broker) = &self.broker {
                    broker.drain();
                }
                self.settle()
            }
            Op::Restart => self.restart(),
            _ => Ok(()),
        }
    }

    /// There is room again; the broker sees it within a second.
    pub(crate) fn make_room(&mut self) -> Verdict {
        self.disk.limit(None);
        if self.full {
            self.wait(1_000)?;
            self.full = false;
        }
        self.settle()
    }
}

fn index(pick: u32, len: usize) -> Option<usize> {
    usize::try_from(pick).ok()?.checked_rem(len)
}

/// The names that numbers of a plan stand for.
pub(crate) fn topic_name(number: u8) -> TopicName {
    let text = match number {
        COMMANDS => "runs.commands".to_owned(),
        5 => "dlq.topic-0".to_owned(),
        10.. => return TopicName::timeline(&run_id(number - 10)),
        plain => format!("topic-{plain}"),
    };
    TopicName::parse(&text).expect("a valid name")
}

pub(crate) fn group_name(number: u8) -> GroupName {
    GroupName::parse(&format!("group-{number}")).expect("a valid name")
}

fn run_id(number: u8) -> RunId {
    RunId::parse(&format!("run_{number}")).expect("a valid name")
}

fn step_name(number: u8) -> StepName {
    StepName::parse(&format!("step-{number}")).expect("a valid name")
}

fn tenant(number: u8) -> TenantId {
    TenantId::parse(&format!("tenant-{number}")).expect("a valid name")
}

fn idempotency(key: u8, tenant: u8, fingerprint: Option<u8>) -> IdempotencyKey {
    IdempotencyKey {
        tenant: if tenant == 0 { String::new() } else { format!("tenant-{tenant}") },
        key: format!("once-{key}"),
        fingerprint: fingerprint.map(|number| format!("print-{number}")),
    }
}

fn consumer(topic: u8, group: u8, owner: u8, lease_ms: u64, max: u32, latest: bool) -> OpenConsumer {
    OpenConsumer {
        topic: topic_name(topic),
        group: group_name(group),
        owner: OwnerId::parse(&format!("owner-{owner}")).expect("a valid name"),
        lease: Millis(lease_ms),
        max_in_flight: max,
        start: if latest { Start::Latest } else { Start::Earliest },
        worker_version: None,
    }
}
