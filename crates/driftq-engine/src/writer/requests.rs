//! Requests: each is decided at once, or noted with those who wait.
//!
//! Promise: a request is answered once all it rests on is durable; what a full disk or a draining broker refuses has changed
//! nothing.

use super::weights::{command_bytes, grows};
use super::{Answer, Writer};
use crate::checkpoint::Checkpoints;
use crate::handle::{Deliveries, OpenConsumer, Request, Respond, timeline};
use crate::inbox::Phase;
use crate::waiters::{Follower, WaitingPoll, Wanted};
use crate::{Clock, EngineError, Poll, Refusal};
use driftq_core::{
    Command, Entropy, GroupId, GroupTouched, Instant, JobNo, JobStatus, Millis, OpenGroup, Record, Rejection,
    Reply, Scope, decide,
};
use driftq_log::{Log, Room};
use std::time::Duration;

impl<L: Log, K: Checkpoints, C: Clock> Writer<L, K, C> {
    pub(super) fn handle(&mut self, request: Request) -> Result<(), EngineError> {
        match request {
            Request::Command { command, scope, respond } => self.command(command, scope.as_deref(), respond),
            Request::OpenConsumer { id, open, scope, respond } => {
                let opened = self.open_group(&open, scope.as_deref())?;
                let opened = opened.map(|group| {
                    let topic = self.state.groups.get(&group).map(|group| group.topic).unwrap_or_default();
                    self.waiters.open_stream(id, open, group, topic);
                });
                self.answer(respond, opened);
                Ok(())
            }
            Request::Pull { id, max, bytes_max, respond } => {
                self.pull(id, Wanted { max, bytes_max, respond });
                Ok(())
            }
            Request::CloseConsumer { id } => self.close_stream(id),
            Request::Poll { poll, scope, respond } => self.poll(poll, scope.as_deref(), respond),
            Request::GiveBack { held } => self.give_back(held),
            Request::Look(look) => {
                let tell = look(&self.state, &self.waiters);
                self.answers.push(Answer { needs: self.state.applied, send: tell });
                Ok(())
            }
            Request::Follow { run, after, max, bytes_max, respond } => {
                self.follow(Follower { run, after, max, bytes_max, respond });
                Ok(())
            }
            Request::RunEnd { run, wait, respond } => {
                self.run_end(&run, wait, respond);
                Ok(())
            }
            Request::Advance { by, respond } => self.advance(by, respond),
            Request::JobEnd { job, wait, respond } => {
                self.job_end(job, wait, respond);
                Ok(())
            }
            Request::Drain => {
                self.drain();
                Ok(())
            }
            Request::Stop => {
                self.drain();
                self.is_stopping = true;
                Ok(())
            }
        }
    }

    fn command(
        &mut self,
        command: Command,
        scope: Option<&Scope>,
        respond: Respond<Reply>,
    ) -> Result<(), EngineError> {
        if let Err(refusal) = self.admit(&command, scope) {
            self.answer(respond, Err(refusal));
            return Ok(());
        }
        let entropy = self.draw();
        let answer = match decide(&self.state, entropy, command) {
            Ok((records, reply)) => self.carry_out(records)?.map(|()| reply),
            Err(rejection) => Err(Refusal::Rejected(rejection)),
        };
        self.answer(respond, answer);
        Ok(())
    }

    /// Refuses a command that is not even decided: what a caller may not see comes before what there is no room for.
    fn admit(&self, command: &Command, scope: Option<&Scope>) -> Result<(), Refusal> {
        scope.map_or(Ok(()), |scope| scope.admit(&self.state, command))?;
        self.refusal(command).map_or(Ok(()), Err)
    }

    /// When a bulk redrive is due next. It adds work, so it rests while the disk is full or the broker drains.
    pub(super) fn next_job(&self) -> Option<Instant> {
        let may_add = self.room == Some(Room::Growth) && self.inbox.phase() == Phase::Ready;
        self.state.next_job().filter(|_| may_add)
    }

    fn refusal(&self, command: &Command) -> Option<Refusal> {
        let grows = grows(command);
        let max = self.log.limits().frame_bytes_max / 2;
        if grows && self.inbox.phase() != Phase::Ready {
            Some(Refusal::Draining)
        } else if self.room.is_none() || (grows && self.room == Some(Room::Settlement)) {
            Some(Refusal::DiskFull)
        } else if command_bytes(command) > max {
            Some(Refusal::TooLarge { max })
        } else {
            None
        }
    }

    pub(super) fn answer<T: Send + 'static>(&mut self, respond: Respond<T>, answer: Result<T, Refusal>) {
        let send = Box::new(move || {
            // A caller that went away needs no answer.
            let _gone = respond.send(answer);
        });
        self.answers.push(Answer { needs: self.state.applied, send });
    }

    pub(super) fn answer_empty(&mut self, respond: Respond<Deliveries>) {
        let none = Deliveries::new(Vec::new(), self.broker());
        self.answer(respond, Ok(none));
    }

    fn open_group(
        &mut self,
        open: &OpenConsumer,
        scope: Option<&Scope>,
    ) -> Result<Result<GroupId, Refusal>, EngineError> {
        if self.inbox.phase() != Phase::Ready {
            return Ok(Err(Refusal::Draining));
        }
        let command = Command::OpenGroup(OpenGroup {
            topic: open.topic.clone(),
            group: open.group.clone(),
            start: open.start,
        });
        if let Some(Err(rejection)) = scope.map(|scope| scope.admit(&self.state, &command)) {
            return Ok(Err(rejection.into()));
        }
        let known = self.state.group(&open.topic, &open.group).map(|group| group.id);
        if let Some(group) = known {
            self.touch(group)?;
            return Ok(Ok(group));
        }
        if let Some(refusal) = self.refusal(&command) {
            return Ok(Err(refusal));
        }
        match decide(&self.state, Entropy(0), command) {
            Ok((records, Reply::Group { group, .. })) => Ok(self.carry_out(records)?.map(|()| group)),
            Ok((_, other)) => unreachable!("opening a group was answered with {other:?}"),
            Err(rejection) => Ok(Err(rejection.into())),
        }
    }

    /// Notes that a group is used, when the last note of it is old enough to matter.
    pub(super) fn touch(&mut self, group: GroupId) -> Result<(), EngineError> {
        let stale = Millis(self.state.limits.group_idle_unused_max.0 / 4);
        let used = self.state.groups.get(&group).map(|group| group.used_at);
        if self.room.is_some() && used.is_some_and(|at| at.after(stale) <= self.state.now) {
            let at = self.state.now;
            self.commit(vec![Record::GroupTouched(GroupTouched { group, at })])?;
        }
        Ok(())
    }

    /// A stream that closes was used until now.
    fn close_stream(&mut self, id: u64) -> Result<(), EngineError> {
        let group = self.waiters.streams.get(&id).map(|stream| stream.group);
        self.waiters.close_stream(id);
        group.map_or(Ok(()), |group| self.touch(group))
    }

    fn pull(&mut self, id: u64, wanted: Wanted) {
        if !self.waiters.streams.contains_key(&id) {
            let gone = Rejection::UnknownGroup { topic: String::new(), group: String::new() };
            self.answer(wanted.respond, Err(gone.into()));
        } else if self.inbox.phase() == Phase::Ready {
            self.waiters.pull(id, wanted);
        } else {
            self.answer_empty(wanted.respond);
        }
    }

    fn poll(
        &mut self,
        poll: Poll,
        scope: Option<&Scope>,
        respond: Respond<Deliveries>,
    ) -> Result<(), EngineError> {
        if self.inbox.phase() != Phase::Ready {
            self.answer_empty(respond);
            return Ok(());
        }
        let group = match self.open_group(&poll.consumer, scope)? {
            Ok(group) => group,
            Err(refusal) => {
                self.answer(respond, Err(refusal));
                return Ok(());
            }
        };
        let topic = self.state.groups.get(&group).map(|group| group.topic).unwrap_or_default();
        let wanted = Wanted { max: poll.consumer.max_in_flight, bytes_max: poll.bytes_max, respond };
        let until = self.clock.monotonic() + Duration::from_millis(poll.wait.0);
        self.waiters.add_poll(WaitingPoll { open: poll.consumer, group, topic, wanted, until });
        if poll.wait == Millis(0) {
            // It takes what is there now, or nothing.
            self.serve()?;
            self.end_waits();
        }
        Ok(())
    }

    fn give_back(&mut self, held: Vec<driftq_core::Held>) -> Result<(), EngineError> {
        if self.room.is_none() {
            return Ok(());
        }
        if let Ok((records, _)) = decide(&self.state, Entropy(0), Command::GiveBack(held)) {
            self.commit(records)?;
        }
        Ok(())
    }

    pub(super) fn follow(&mut self, follower: Follower) {
        let run = self.state.run(&follower.run);
        let piece =
            run.and_then(|run| timeline(&self.state, &run, follower.after, follower.max, follower.bytes_max));
        let Some(piece) = piece else {
            let unknown = Rejection::UnknownRun(follower.run.as_str().to_owned());
            self.answer(follower.respond, Err(unknown.into()));
            return;
        };
        let has_answer = !piece.items.is_empty() || follower.after != piece.last_seq;
        if has_answer || self.inbox.phase() != Phase::Ready {
            self.answer(follower.respond, Ok(piece));
        } else {
            self.waiters.follow(piece.topic, follower);
        }
    }

    fn run_end(&mut self, run: &driftq_core::RunId, wait: Millis, respond: Respond<()>) {
        let found = self.state.run(run).map(|run| (run.no, run.status));
        match found {
            None => {
                let unknown = Rejection::UnknownRun(run.as_str().to_owned());
                self.answer(respond, Err(unknown.into()));
            }
            Some((_, status))
                if status.is_terminal() || wait == Millis(0) || self.inbox.phase() != Phase::Ready =>
            {
                self.answer(respond, Ok(()));
            }
            Some((no, _)) => {
                let until = self.clock.monotonic() + Duration::from_millis(wait.0);
                self.waiters.runs.wait(no, until, respond);
            }
        }
    }

    fn job_end(&mut self, job: JobNo, wait: Millis, respond: Respond<()>) {
        match self.state.redrive_job(job) {
            None => self.answer(respond, Err(Rejection::UnknownJob(job).into())),
            Some(found)
                if found.status != JobStatus::Running
                    || wait == Millis(0)
                    || self.inbox.phase() != Phase::Ready =>
            {
                self.answer(respond, Ok(()));
            }
            Some(_) => {
                let until = self.clock.monotonic() + Duration::from_millis(wait.0);
                self.waiters.jobs.wait(job, until, respond);
            }
        }
    }

    fn drain(&mut self) {
        self.inbox.enter(Phase::Draining);
        for wanted in self.waiters.take_all_wanted() {
            self.answer_empty(wanted.respond);
        }
        for follower in self.waiters.take_followers() {
            self.follow(follower);
        }
        for respond in self.waiters.take_late_callers(Duration::MAX) {
            self.answer(respond, Ok(()));
        }
    }
}
