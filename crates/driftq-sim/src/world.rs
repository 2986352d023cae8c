//! A world: one broker, its disk and clock, and clients that lose, double and delay.
//!
//! Promise: everything happens on one thread in an order that the plan alone decides. After each turn of the broker its
//! facts, its answers and its state are judged; what was promised is asked for again after each crash.

mod crashes;
mod flights;
mod judgement;

use crate::bugs::Bug;
use crate::calls::{Ask, Outcome, Sent};
use crate::compare::compare;
use crate::marks::Marks;
use crate::model::{Model, Verdict};
use crate::plan::{Setup, Take};
use crate::seams::{LyingDisk, Tape, TapedCheckpoints, TapedLog};
use driftq_core::{
    Delivery, GroupName, LeaseId, Limits, Millis, OwnerId, Position, Record, TopicName, WallTime, check,
    check_explained,
};
use driftq_engine::{Broker, Consumer, Deliveries, ManualClock, OpenConsumer, Refusal, Writer};
use driftq_log::{FaultyDisk, WalReader};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, atomic::AtomicU64};
use std::time::Duration;

/// Every how many turns all messages are explained.
const EXPLAINED_EVERY: u64 = 8;
/// A turn's own bookkeeping in a small world, bytes and records.
const TURN_ROOM: (usize, usize) = (24 * 1024, 160);
/// Bytes that the requests of a turn may need: what a log of small segments can hold in advance.
const TURN_BYTES_MAX: usize = 200 * 1024;
/// Turns without time passing after which the broker is said to spin.
const IDLE_TURNS_MAX: usize = 256;
/// Starts that are tried after a crash.
const STARTS_MAX: usize = 4;
/// How long a power cut may forget a lease.
const LEASE_UNSYNCED_MAX: u64 = 50;
/// More calls than any disk sees.
const NEVER: u64 = 1 << 60;

type Node = Writer<TapedLog, TapedCheckpoints, ManualClock>;

/// What a call's future ends with.
pub(crate) enum Landed {
    Plain(Outcome),
    Deliveries(Result<Deliveries, Refusal>),
    Opened(Result<Consumer, Refusal>),
    Pulled(Consumer, Result<Deliveries, Refusal>),
}

type Flying = Pin<Box<dyn Future<Output = Landed>>>;

/// A call on its way.
pub(crate) struct Flight {
    pub(crate) sent: Sent,
    pub(crate) future: Option<Flying>,
    pub(crate) take: Take,
    pub(crate) stream: Option<usize>,
}

/// An open stream of deliveries.
pub(crate) struct Stream {
    pub(crate) open: OpenConsumer,
    pub(crate) consumer: Option<Consumer>,
    pub(crate) is_open: bool,
    pub(crate) leases: Vec<(driftq_core::MessageOf, LeaseId)>,
}

/// A message that a worker has in hand.
#[derive(Clone, Debug)]
pub(crate) struct InHand {
    pub(crate) delivery: Delivery,
    pub(crate) topic: TopicName,
    pub(crate) group: GroupName,
    pub(crate) owner: OwnerId,
    pub(crate) is_done: bool,
}

/// How the next stop of the disk goes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Armed {
    pub(crate) stop: bool,
    pub(crate) power: bool,
    pub(crate) sync: bool,
    pub(crate) write: bool,
    pub(crate) again_at: Option<u64>,
}

pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) limits: Limits,
    pub(crate) seed: u64,
    pub(crate) bug: Option<Bug>,
    pub(crate) clock: ManualClock,
    pub(crate) disk: FaultyDisk,
    pub(crate) node: Option<Node>,
    pub(crate) broker: Option<Broker>,
    pub(crate) model: Model,
    pub(crate) marks: Marks,
    pub(crate) flights: Vec<Flight>,
    pub(crate) late: Vec<(Millis, Ask, Take)>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) in_hand: Vec<InHand>,
    pub(crate) armed: Armed,
    pub(crate) draining: bool,
    died: bool,
    power_failed: bool,
    pub(crate) full: bool,
    pub(crate) bodies: BTreeMap<u64, (String, Vec<u8>)>,
    pub(crate) counter: u64,
    pub(crate) trace: Trace,
    pub(crate) turns: u64,
    untaken: Vec<LeaseId>,
    facts: Vec<(Position, Record)>,
    segments_at_start: usize,
    tape: Tape,
    history: Vec<Vec<u8>>,
    promised: Position,
    handed: Vec<(Millis, LeaseId)>,
    checkpoints: Arc<AtomicU64>,
    wall_start: u64,
    reader: Option<WalReader<LyingDisk>>,
    closed_in_order: bool,
    was_clean: bool,
}

/// A running digest of all that happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trace(u64);

impl Trace {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn digest(self) -> u64 {
        self.0
    }
}

impl World {
    /// A world whose broker has started on an empty disk.
    pub(crate) fn new(seed: u64, setup: &Setup, bug: Option<Bug>) -> Verdict<Self> {
        let limits = setup.limits();
        let mut world = Self {
            setup: setup.clone(),
            limits,
            seed,
            bug,
            clock: ManualClock::at(WallTime(setup.wall_ms)),
            disk: FaultyDisk::new(seed),
            node: None,
            broker: None,
            model: Model::new(limits),
            marks: Marks::default(),
            flights: Vec::new(),
            late: Vec::new(),
            streams: Vec::new(),
            in_hand: Vec::new(),
            armed: Armed::default(),
            draining: false,
            died: false,
            power_failed: false,
            full: false,
            bodies: BTreeMap::new(),
            counter: 0,
            trace: Trace(0xcbf2_9ce4_8422_2325),
            turns: 0,
            untaken: Vec::new(),
            facts: Vec::new(),
            segments_at_start: usize::MAX,
            tape: Tape::default(),
            history: Vec::new(),
            promised: Position(0),
            handed: Vec::new(),
            checkpoints: Arc::default(),
            wall_start: setup.wall_ms,
            reader: None,
            closed_in_order: false,
            was_clean: false,
        };
        world.start(Vec::new(), false)?;
        Ok(world)
    }

    pub(crate) fn now(&self) -> Millis {
        use driftq_engine::Clock;
        Millis(u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn wall(&self) -> WallTime {
        use driftq_engine::Clock;
        self.clock.wall()
    }

    /// The wall clock as it would be without jumps.
    pub(crate) fn true_wall(&self) -> WallTime {
        WallTime(self.wall_start + self.now().0)
    }

    // --- turns ------------------------------------------------------------------------------------------------

    /// Lets the broker turn until it has nothing more to do at this moment.
    pub(crate) fn settle(&mut self) -> Verdict {
        for _ in 0..IDLE_TURNS_MAX {
            self.turn()?;
            let Some(node) = &self.node else { return Ok(()) };
            if self.queued() == 0 && self.untaken.is_empty() && node.next_wake() != Some(Duration::ZERO) {
                return Ok(());
            }
        }
        Err("the broker turns and turns although no time passes".to_owned())
    }

    fn queued(&self) -> usize {
        self.broker.as_ref().map_or(0, |broker| broker.status().queued)
    }

    fn turn(&mut self) -> Verdict {
        self.turns += 1;
        self.send_late();
        let Some(node) = self.node.as_mut() else { return Ok(()) };
        let result = node.step();
        self.poll_flights();
        match result {
            Ok(()) => {
                let records = self.tape.take();
                self.judge(&records)?;
                self.inspect()
            }
            Err(error) => self.die(Some(error)),
        }
    }

    fn send_late(&mut self) {
        let now = self.now();
        let due: Vec<_> = self.late.extract_if(.., |(at, _, _)| *at <= now).collect();
        for (_, ask, take) in due {
            self.marks.hit("late call");
            self.send(ask, take, false, None);
        }
    }

    // --- checks after a turn ----------------------------------------------------------------------------------

    fn inspect(&mut self) -> Verdict {
        let Some(node) = &self.node else { return Ok(()) };
        let state = node.state();
        check(state).map_err(|sentence| format!("broken invariant: {sentence}"))?;
        compare(&self.model, state)?;
        if self.turns.is_multiple_of(EXPLAINED_EVERY) {
            check_explained(state)?;
        }
        let is_busy =
            self.queued() > 0 || node.next_wake() == Some(Duration::ZERO) || !self.untaken.is_empty();
        if !is_busy && !self.full {
            if let Some(overdue) = self.model.overdue().filter(|_| self.model.now_is(self.now(), self.wall()))
            {
                return Err(overdue);
            }
            self.nobody_waits_in_vain()?;
        }
        let now = self.now().0;
        let old = |at: &Millis| at.0 + LEASE_UNSYNCED_MAX <= now;
        let synced: Vec<_> = self.handed.extract_if(.., |(at, _)| old(at)).collect();
        for (_, lease) in synced {
            self.promised = self.promised.max(self.model.lease_position(lease));
        }
        Ok(())
    }

    /// Whoever waits has nothing to get.
    fn nobody_waits_in_vain(&self) -> Verdict {
        for flight in self.flights.iter().filter(|flight| flight.future.is_some()) {
            if let Some(open) = flight.sent.consumer() {
                let Some((group, _)) = self.model.group_named(&open.topic, &open.group) else { continue };
                let free = flight.stream.is_none_or(|number| self.is_free(number));
                if let Some(of) = self.model.deliverable(group).filter(|_| free) {
                    return Err(format!("{:?} waits although {of:?} is there", flight.sent.ask));
                }
            }
            match &flight.sent.ask {
                Ask::Follow { run, after, .. }
                    if self.model.last_seq(run).is_some_and(|last| last > *after) =>
                {
                    return Err(format!("a reader waits behind {after} of run {run}"));
                }
                Ask::RunEnd { run, .. }
                    if self.model.run_named(run).is_some_and(|run| run.status.is_terminal()) =>
                {
                    return Err(format!("somebody waits for the end of run {run}"));
                }
                _ => {}
            }
        }
        for stream in self.streams.iter().filter(|stream| stream.is_open) {
            let held = self.held_by(stream);
            if held > usize::try_from(stream.open.max_in_flight).unwrap_or(usize::MAX) {
                return Err(format!("a stream of {:?} holds {held} messages", stream.open));
            }
        }
        Ok(())
    }

    fn is_free(&self, number: usize) -> bool {
        self.streams.get(number).is_some_and(|stream| {
            self.held_by(stream) < usize::try_from(stream.open.max_in_flight).unwrap_or(usize::MAX)
        })
    }

    fn held_by(&self, stream: &Stream) -> usize {
        stream.leases.iter().filter(|(of, lease)| self.model.is_leased(*of, *lease)).count()
    }
}
