//! The writer: tick, take, decide, apply, append, sync, answer.
//!
//! Promise: one thread decides everything in one order. Answers wait until all they rest on is durable; deliveries go
//! out as soon as the message is durable and their lease is written (its sync rides with the next group, or follows
//! within 50 ms). A failed sync ends the writer: it answers nobody any more.

mod by_hand;
mod deliveries;
mod requests;
mod weights;

use crate::bodies::holds_body;
use crate::checkpoint::{CheckpointTurn, Checkpoints, Progress};
use crate::handle::Request;
use crate::inbox::{Bounds, Inbox, Phase};
use crate::recovery::recover;
use crate::waiters::Waiters;
use crate::{Bodies, Broker, Clock, EngineError, Recovery, Refusal};
use driftq_core::{
    Entropy, GroupId, Instant, Limits, Millis, Patterns, Position, Record, Started, State, TimeAdvanced,
    apply, decide_due, decide_jobs,
};
use driftq_log::{Batch, Log, LogError, Room};
use futures_channel::oneshot;
use std::sync::{Arc, atomic::Ordering};
use std::time::Duration;
use weights::{changes_state, is_binding, size_of};

/// Requests taken in one turn: as many as one sync should cover.
const TURN_REQUESTS_MAX: usize = 1_024;
/// Bytes of log that they may need: a fraction of what the log can hold in advance.
const TURN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Facts decided at once when much is due.
const DUE_CHUNK: usize = 512;
/// Chunks of due facts in one turn; the rest follows in the next, so that requests are not held up.
const DUE_CHUNKS_MAX: usize = 8;
/// How long a lease may be unsynced on an idle log.
const LAZY_SYNC: Duration = Duration::from_millis(50);
/// How long after the last write the durable mark is written.
const MARK_AFTER: Duration = Duration::from_millis(50);
/// How long the writer may sleep on a wall-clock time: a jump is seen within this.
const WALL_SLEEP_MAX: Duration = Duration::from_secs(1);
/// How long a full disk is left alone before it is asked again.
const FULL_RETRY: Duration = Duration::from_secs(1);
/// How long a checkpoint that is written too slowly is left alone.
const CHECKPOINT_WAIT: Duration = Duration::from_millis(10);
/// How long one wait for the log may last before it is asked again.
const SYNC_WAIT: Duration = Duration::from_secs(60);
/// Room that one turn's own bookkeeping may need, bytes and records.
const TURN_ROOM: (usize, usize) = (2 * 1024 * 1024, 16_384);

/// How an engine works.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Bounds and windows of the broker.
    pub limits: Limits,
    /// What the configuration tells topics by patterns of their names.
    pub patterns: Patterns,
    /// Where jitter begins.
    pub seed: u64,
    /// The release, for the log.
    pub release: String,
    /// Bytes of log after which a checkpoint is written.
    pub checkpoint_bytes: u64,
    /// How much of it one turn encodes.
    pub checkpoint_turn: CheckpointTurn,
    /// Room that one turn's own bookkeeping may need, bytes and records; smaller only with small segments.
    pub turn_room: (usize, usize),
    /// Bytes of log that the requests of one turn may need together; what comes behind waits for the next turn.
    pub turn_bytes_max: usize,
    /// Told how far the recovery has come.
    pub progress: driftq_log::Progress,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            patterns: Patterns::default(),
            seed: 0,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            checkpoint_bytes: 256 * 1024 * 1024,
            checkpoint_turn: CheckpointTurn::default(),
            turn_room: TURN_ROOM,
            turn_bytes_max: TURN_BYTES_MAX,
            progress: driftq_log::Progress::default(),
        }
    }
}

/// A running engine.
pub struct Engine {
    /// The handle to it.
    pub broker: Broker,
    /// Resolves when the writer has ended: in order, or with the reason it had to stop.
    pub ended: oneshot::Receiver<Result<(), EngineError>>,
    /// What the start found.
    pub recovery: Recovery,
}

/// Recovers the state and starts the writer on its own thread.
///
/// # Errors
///
/// [`EngineError`] when the log cannot be read or written.
pub fn start<L, K, C>(log: L, checkpoints: K, clock: C, options: EngineOptions) -> Result<Engine, EngineError>
where
    L: Log + 'static,
    K: Checkpoints,
    C: Clock,
{
    let (mut writer, recovery) = Writer::open(log, checkpoints, clock, options)?;
    let broker = writer.broker();
    let (tell, ended) = oneshot::channel();
    let run = move || {
        let result = writer.run();
        let inbox = Arc::clone(&writer.inbox);
        let result = result.and_then(|()| writer.close());
        inbox.enter(Phase::Stopped);
        inbox.clear();
        let _nobody_listens = tell.send(result);
    };
    std::thread::Builder::new().name("driftq-writer".to_owned()).spawn(run).map_err(EngineError::Thread)?;
    Ok(Engine { broker, ended, recovery })
}

/// An answer that waits until the log is durable up to `needs`.
struct Answer {
    needs: Position,
    send: Box<dyn FnOnce() + Send>,
}

/// The writer. In production it runs on its own thread; a simulation turns it by hand.
pub struct Writer<L: Log, K, C> {
    state: State,
    log: L,
    checkpoints: K,
    clock: C,
    options: EngineOptions,
    inbox: Arc<Inbox>,
    bodies: Arc<Bodies>,
    waiters: Waiters,
    taken: Vec<Request>,
    batch: Batch,
    /// Facts of one transition, encoded, and where each ends.
    encoded: Vec<u8>,
    encoded_ends: Vec<usize>,
    answers: Vec<Answer>,
    /// Core time when this start's own time stood at `began`.
    base: Instant,
    began: Duration,
    /// The last record that is more than a lease.
    binding: Position,
    durable: Position,
    draws: u64,
    retried_until: Instant,
    lazy_sync_at: Option<Duration>,
    mark_at: Option<Duration>,
    room: Option<Room>,
    /// Bytes of the room that was found and is not used yet.
    room_left: usize,
    /// Bytes and records that this turn's requests may still need of it.
    room_owed: (usize, usize),
    room_checked: Duration,
    has_due_left: bool,
    is_stopping: bool,
    checkpoint: Option<Progress>,
    checkpoint_log_bytes: u64,
    appended_bytes: u64,
}

impl<L: Log, K: Checkpoints, C: Clock> Writer<L, K, C> {
    /// Recovers the state and records the start.
    ///
    /// # Errors
    ///
    /// [`EngineError`] when the log cannot be read or written.
    pub fn open(
        log: L,
        mut checkpoints: K,
        clock: C,
        options: EngineOptions,
    ) -> Result<(Self, Recovery), EngineError> {
        let reader = log.reader();
        let (state, recovery) =
            recover(&reader, &mut checkpoints, options.limits, &options.patterns, &options.progress)?;
        let last = Position(log.last().0);
        if state.applied != last && last != Position(0) {
            return Err(EngineError::Order { expected: last.0, got: state.applied.0 });
        }
        if let Some(hand) = clock.by_hand() {
            hand.resume(state.wall);
        }
        let (began, opened) = (clock.core(), clock.monotonic());
        let mut writer = Self {
            base: state.now,
            retried_until: Instant(0),
            durable: Position(log.durable().0),
            binding: last,
            state,
            log,
            checkpoints,
            clock,
            options,
            inbox: Arc::new(Inbox::default()),
            bodies: Arc::new(Bodies::new(reader)),
            waiters: Waiters::default(),
            taken: Vec::new(),
            batch: Batch::new(),
            encoded: Vec::new(),
            encoded_ends: Vec::new(),
            answers: Vec::new(),
            began,
            draws: 0,
            lazy_sync_at: None,
            mark_at: None,
            room: Some(Room::Growth),
            room_left: 0,
            room_owed: (0, 0),
            room_checked: opened,
            has_due_left: false,
            is_stopping: false,
            checkpoint: None,
            // Short lives must not add up to a tail that no checkpoint ever ends.
            checkpoint_log_bytes: recovery.bytes,
            appended_bytes: 0,
        };
        writer.record_start()?;
        Ok((writer, recovery))
    }

    fn record_start(&mut self) -> Result<(), EngineError> {
        self.find_room(0, 0)?;
        let started = Started { epoch: self.log.epoch().0, release: self.options.release.clone() };
        self.commit(vec![Record::Started(started)])?;
        self.advance_time()?;
        self.flush()?;
        self.sync()
    }

    /// A handle to this writer.
    #[must_use]
    pub fn broker(&self) -> Broker {
        Broker { inbox: Arc::clone(&self.inbox), bodies: Arc::clone(&self.bodies), scope: None, audit: None }
    }

    /// The state, for checkers.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Turns until it is told to stop.
    ///
    /// # Errors
    ///
    /// [`EngineError`]: the log failed, nobody is answered any more.
    pub fn run(&mut self) -> Result<(), EngineError> {
        while !self.is_stopping {
            let wait = self.next_wake();
            let mut taken = std::mem::take(&mut self.taken);
            self.inbox.take(&mut taken, self.bounds(), wait);
            self.taken = taken;
            self.turn()?;
        }
        Ok(())
    }

    /// Takes what waits in the queue and turns once; for a simulation.
    ///
    /// # Errors
    ///
    /// [`EngineError`]: the log failed, nobody is answered any more.
    pub fn step(&mut self) -> Result<(), EngineError> {
        let mut taken = std::mem::take(&mut self.taken);
        self.inbox.take(&mut taken, self.bounds(), Some(Duration::ZERO));
        self.taken = taken;
        self.turn()
    }

    /// Whether it was told to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    /// Ends in order: synced, with a clean mark.
    ///
    /// # Errors
    ///
    /// [`EngineError`] when the log failed.
    pub fn close(mut self) -> Result<(), EngineError> {
        self.flush()?;
        self.sync()?;
        self.answer_ready();
        self.log.close()?;
        Ok(())
    }

    /// What one turn takes.
    fn bounds(&self) -> Bounds {
        let weigh = |request: &Request| size_of(request).0;
        Bounds { requests_max: TURN_REQUESTS_MAX, bytes_max: self.options.turn_bytes_max, weigh }
    }

    /// One turn.
    fn turn(&mut self) -> Result<(), EngineError> {
        let requests = std::mem::take(&mut self.taken);
        let changes = requests.iter().any(changes_state);
        let (bytes, records) = requests.iter().map(size_of).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
        self.room_owed = (bytes, records);
        let has_work = changes || self.is_due();
        if has_work || self.is_room_due() {
            self.find_room(bytes, records)?;
        }
        if has_work && self.room.is_some() {
            self.advance_time()?;
            self.decide_due()?;
        }
        for request in requests {
            self.handle(request)?;
        }
        self.room_owed = (0, 0);
        self.end_waits();
        self.serve()?;
        self.flush()?;
        self.answer_ready();
        if self.wants_sync() {
            self.sync()?;
            self.answer_ready();
        }
        self.tell_news();
        self.rest()?;
        self.step_checkpoint();
        Ok(())
    }

    fn instant(&self) -> Instant {
        let elapsed = self.clock.core().saturating_sub(self.began);
        self.base.after(Millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)))
    }

    fn advance_time(&mut self) -> Result<(), EngineError> {
        let (now, wall) = (self.instant(), self.clock.wall());
        if now > self.state.now || wall != self.state.wall {
            self.commit(vec![Record::TimeAdvanced(TimeAdvanced { now: now.max(self.state.now), wall })])?;
        }
        let past = std::mem::replace(&mut self.retried_until, self.state.now);
        let groups: Vec<GroupId> = self.state.retries_due(past).collect();
        for group in groups {
            self.waiters.wake_group(group);
        }
        Ok(())
    }

    fn is_due(&self) -> bool {
        let (now, wall) = (self.instant(), self.clock.wall());
        self.has_due_left
            || self.state.next_instant(self.retried_until).is_some_and(|at| at <= now)
            || self.state.next_wall().is_some_and(|at| at <= wall)
            || self.next_job().is_some_and(|at| at <= now)
    }

    fn decide_due(&mut self) -> Result<(), EngineError> {
        self.has_due_left = false;
        for _ in 0..DUE_CHUNKS_MAX {
            if !self.has_room()? {
                break;
            }
            let entropy = self.draw();
            let waiters = &self.waiters;
            let mut records = decide_due(&self.state, entropy, DUE_CHUNK, &|group| waiters.is_open(group));
            if records.is_empty() && self.next_job().is_some_and(|at| at <= self.state.now) {
                records = decide_jobs(&self.state, entropy, DUE_CHUNK);
            }
            if records.is_empty() {
                return Ok(());
            }
            self.commit(records)?;
        }
        self.has_due_left = true;
        Ok(())
    }

    /// Whether a full disk is to be asked again.
    fn is_room_due(&self) -> bool {
        self.room != Some(Room::Growth) && self.clock.monotonic() >= self.room_checked + FULL_RETRY
    }

    /// How long the writer may sleep; `None` = until it is asked.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let mono = self.clock.monotonic();
        let until = |at: Duration| at.saturating_sub(mono);
        if self.room.is_none() {
            return Some(until(self.room_checked + FULL_RETRY));
        }
        let is_encoding = self.checkpoint.as_ref().is_some_and(|progress| progress.needs.is_none());
        if self.has_due_left || (is_encoding && self.checkpoints.has_room()) {
            return Some(Duration::ZERO);
        }
        let [core, wall] = self.next_due();
        let room = (self.room != Some(Room::Growth)).then(|| self.room_checked + FULL_RETRY);
        let encoding = is_encoding.then(|| mono + CHECKPOINT_WAIT);
        let ends = [self.lazy_sync_at, self.mark_at, self.waiters.next_end(), room, encoding];
        let ends = ends.into_iter().flatten().map(until).min();
        [core, wall, ends].into_iter().flatten().min()
    }

    /// How long until core time, and until the wall clock, makes something due; never, as long as both stand still.
    fn next_due(&self) -> [Option<Duration>; 2] {
        if self.clock.by_hand().is_some() {
            return [self.is_due().then_some(Duration::ZERO), None];
        }
        let now = self.instant();
        let due = [self.state.next_instant(self.retried_until), self.next_job()];
        let core = due.into_iter().flatten().min().map(|at| now.until(at));
        let wall = self.state.next_wall().map(|at| self.clock.wall().until(at));
        let [core, wall] = [core, wall].map(|wait| wait.map(|wait| Duration::from_millis(wait.0)));
        [core, wall.map(|wait| wait.min(WALL_SLEEP_MAX))]
    }

    fn draw(&mut self) -> Entropy {
        self.draws += 1;
        Entropy(self.options.seed).nth(self.draws)
    }

    /// Makes sure that this turn's facts fit, or learns what does.
    fn find_room(&mut self, bytes: usize, records: usize) -> Result<(), EngineError> {
        self.room_checked = self.clock.monotonic();
        self.room = None;
        let (turn_bytes, turn_records) = self.options.turn_room;
        for (room, extra, count) in [(Room::Growth, bytes, records), (Room::Settlement, bytes, records)] {
            match self.log.reserve(turn_bytes + extra, turn_records + count, room) {
                Ok(()) => {
                    self.room = Some(room);
                    self.room_left = turn_bytes + extra;
                    break;
                }
                // No room, no file descriptor, or more than the log can hold in advance: it is asked again later.
                Err(LogError::Full { .. } | LogError::Retry { .. } | LogError::TooLarge { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.inbox.disk_full.store(self.room != Some(Room::Growth), Ordering::Relaxed);
        Ok(())
    }

    /// Finds more room for this turn's own facts when what was found is used up; answers whether there is some.
    fn has_room(&mut self) -> Result<bool, EngineError> {
        let (bytes, records) = self.room_owed;
        if self.room.is_some() && self.room_left < bytes + self.options.turn_room.0 / 2 {
            // What was appended has taken its part of the old room; what the turn's requests need is asked for again.
            self.flush()?;
            self.find_room(bytes, records)?;
        }
        Ok(self.room.is_some())
    }

    /// Carries facts out, unless they are more than one frame can hold: then nothing is changed.
    fn carry_out(&mut self, records: Vec<Record>) -> Result<Result<(), Refusal>, EngineError> {
        let max = self.log.limits().frame_bytes_max;
        self.encode(&records);
        if self.encoded.len() > max {
            return Ok(Err(Refusal::TooLarge { max }));
        }
        self.apply_encoded(records).map(Ok)
    }

    /// Applies facts and queues them for the log. They are one transition: one frame holds them all.
    fn commit(&mut self, records: Vec<Record>) -> Result<(), EngineError> {
        self.encode(&records);
        self.apply_encoded(records)
    }

    fn encode(&mut self, records: &[Record]) {
        self.encoded.clear();
        self.encoded_ends.clear();
        for record in records {
            record.encode(&mut self.encoded);
            self.encoded_ends.push(self.encoded.len());
        }
    }

    fn apply_encoded(&mut self, records: Vec<Record>) -> Result<(), EngineError> {
        #[cfg(feature = "planted")]
        let records = {
            let spoilt = crate::planted::spoil(&self.state, records);
            self.encode(&spoilt);
            spoilt
        };
        let limits = self.log.limits();
        let is_full = self.batch.bytes() + self.encoded.len() > limits.frame_bytes_max;
        if is_full || self.batch.bytes() > limits.frame_bytes_best {
            self.flush()?;
        }
        self.room_left = self.room_left.saturating_sub(self.encoded.len());
        let mut from = 0;
        for (index, record) in records.into_iter().enumerate() {
            let until = self.encoded_ends[index];
            let position = self.state.applied.next();
            self.batch.push(&self.encoded[from..until]);
            apply(&mut self.state, position, &record);
            self.waiters.observe(&record);
            self.inbox.count(&record);
            if is_binding(&record) {
                self.binding = position;
            }
            if holds_body(&record) {
                self.bodies.keep(position, Arc::new(record), until - from);
            }
            from = until;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.appended_bytes += self.batch.bytes() as u64;
        let last = self.log.append(&self.batch)?;
        if last.0 != self.state.applied.0 {
            return Err(EngineError::Order { expected: self.state.applied.0, got: last.0 });
        }
        self.batch.clear();
        self.inbox.log_bytes.store(self.log.bytes(), Ordering::Relaxed);
        self.durable = Position(self.log.durable().0);
        Ok(())
    }

    fn wants_sync(&self) -> bool {
        let is_answer_waiting = self.answers.iter().any(|answer| answer.needs > self.durable);
        let is_lease_old = self.lazy_sync_at.is_some_and(|at| at <= self.clock.monotonic());
        is_answer_waiting || is_lease_old || (self.waiters.has_news() && self.durable < self.state.applied)
    }

    fn sync(&mut self) -> Result<(), EngineError> {
        if self.durable >= self.state.applied {
            return Ok(());
        }
        let began = self.clock.monotonic();
        while self.durable < self.state.applied {
            let past = driftq_log::Position(self.state.applied.0 - 1);
            self.durable = Position(self.log.wait(past, SYNC_WAIT)?.0);
        }
        self.inbox.syncs.count(self.clock.monotonic().saturating_sub(began));
        self.inbox.durable.store(self.durable.0, Ordering::Relaxed);
        Ok(())
    }

    fn answer_ready(&mut self) {
        let durable = self.durable;
        let mut waiting = Vec::new();
        for answer in self.answers.drain(..) {
            if answer.needs <= durable {
                (answer.send)();
            } else {
                waiting.push(answer);
            }
        }
        self.answers = waiting;
    }

    /// Wakes readers of changed timelines and callers whose run or job has ended, now that it is durable.
    fn tell_news(&mut self) {
        if !self.waiters.has_news() || self.durable < self.state.applied {
            return;
        }
        for follower in self.waiters.take_news() {
            if !follower.respond.is_canceled() {
                self.follow(follower);
            }
        }
        for respond in self.waiters.take_ended() {
            self.answer(respond, Ok(()));
        }
        self.answer_ready();
    }

    /// Notes when the log has to be synced or marked although nobody asks.
    fn rest(&mut self) -> Result<(), EngineError> {
        let now = self.clock.monotonic();
        if self.durable < self.state.applied {
            self.lazy_sync_at.get_or_insert(now + LAZY_SYNC);
            self.mark_at = None;
            return Ok(());
        }
        self.lazy_sync_at = None;
        match self.mark_at {
            Some(at) if at <= now => {
                self.mark_at = None;
                match self.log.mark() {
                    Ok(()) | Err(LogError::Full { .. } | LogError::Retry { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Some(_) => {}
            None if self.appended_bytes > 0 => self.mark_at = Some(now + MARK_AFTER),
            None => {}
        }
        if self.mark_at.is_none() {
            self.checkpoint_log_bytes += std::mem::take(&mut self.appended_bytes);
        }
        Ok(())
    }

    fn step_checkpoint(&mut self) {
        // A checkpoint that fails is tried again after as many bytes; the one before and the log are enough.
        let _outcome = self.checkpoints.finished();
        if let Some(mut progress) = self.checkpoint.take() {
            match progress.needs {
                None if self.checkpoints.has_room() => {
                    progress.step(&self.state, self.options.checkpoint_turn, &mut self.checkpoints);
                }
                None => {}
                Some(needs) if needs <= self.durable => {
                    self.checkpoints.commit();
                    return;
                }
                Some(_) => {}
            }
            self.checkpoint = Some(progress);
        } else if self.checkpoint_log_bytes + self.appended_bytes >= self.options.checkpoint_bytes {
            self.checkpoint_log_bytes = 0;
            self.appended_bytes = 0;
            self.checkpoint = Some(Progress::begin(&self.state, &mut self.checkpoints));
        }
    }
}
