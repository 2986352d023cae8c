//! Ends of a broker's life, and the next beginning.
//!
//! Promise: what was promised before is asked for after; what a start rebuilds is what the whole log tells of.

use super::{Armed, Flight, NEVER, Node, STARTS_MAX, TURN_BYTES_MAX, TURN_ROOM, World};
use crate::marks::Marks;
use crate::model::{Context, Known, Model, Verdict};
use crate::seams::{LyingDisk, TapedCheckpoints, TapedLog, read_all};
use driftq_core::{Millis, Position, Record, State, WallTime, apply};
use driftq_engine::{CheckpointTurn, EngineError, EngineOptions, Writer};
use driftq_log::{Log, LogError, Wal, WalOptions};
use std::sync::{Arc, atomic::Ordering};

impl World {
    /// Ends this life of the broker, and begins the next.
    pub(crate) fn die(&mut self, error: Option<EngineError>) -> Verdict {
        let armed = self.armed;
        if let Some(error) = error {
            if !(armed.stop || armed.sync || armed.write) {
                return Err(format!("the broker gave up although nothing was broken: {error}"));
            }
            self.marks.hit(if armed.stop { "crash in the middle of a turn" } else { "failed sync" });
        }
        let power = armed.power;
        self.marks.hit(if power { "power cut" } else { "kill" });
        let unjudged = self.tape.take();
        if self.segments() > self.segments_at_start {
            self.marks.hit("rotated");
        }
        for stream in &mut self.streams {
            stream.is_open = false;
        }
        let flights = std::mem::take(&mut self.flights);
        (self.node, self.broker) = (None, None);
        for stream in &mut self.streams {
            stream.consumer = None;
        }
        self.disk = if power { self.disk.after_crash() } else { self.disk.after_kill() };
        self.flights =
            flights.into_iter().map(|flight| Flight { future: None, stream: None, ..flight }).collect();
        self.start(unjudged, power)
    }

    pub(super) fn start(&mut self, unjudged: Vec<Vec<u8>>, power: bool) -> Verdict {
        let mut power = power;
        let mut has_room = false;
        let again = self.armed.again_at;
        self.armed = Armed::default();
        if let Some(n) = again {
            self.disk.stop_at(n);
        }
        for attempt in 0..STARTS_MAX {
            match self.open() {
                Ok((node, loaded)) => {
                    // The stop that was meant for the recovery may still lie ahead.
                    self.disk.stop_at(NEVER);
                    if std::mem::take(&mut self.closed_in_order) && again.is_none() && !self.was_clean {
                        return Err("a stop in order left no clean mark".to_owned());
                    }
                    if loaded {
                        self.marks.hit("checkpoint loaded");
                    }
                    self.resume(node, &unjudged, power)?;
                    self.full &= !has_room;
                    return Ok(());
                }
                Err(error) if again.is_some() && attempt == 0 => {
                    self.marks.hit("crash in recovery");
                    self.trace.add(error.to_string().as_bytes());
                    power |= attempt % 2 == 0;
                    self.disk = self.disk.after_crash();
                }
                Err(EngineError::Log(LogError::Full { .. })) if self.full => {
                    self.disk.limit(None);
                    has_room = true;
                    self.disk = self.disk.after_kill();
                }
                Err(error) => return Err(format!("the start was refused: {error}")),
            }
            let _cut_off = self.tape.take();
        }
        Err("the broker does not start".to_owned())
    }

    pub(super) fn open(&mut self) -> Result<(Node, bool), EngineError> {
        let disk = LyingDisk::new(self.disk.clone(), self.bug);
        let wal = WalOptions {
            segment_bytes: self.setup.segment_bytes,
            reserve_bytes: self.setup.reserve_bytes,
            check_all: true,
            ..WalOptions::default()
        };
        let (wal, recovered) = Wal::open(disk.clone(), wal)?;
        self.was_clean = recovered.clean;
        self.reader = Some(wal.reader());
        let log = TapedLog::new(wal, self.tape.clone(), self.bug);
        let checkpoints = TapedCheckpoints::new(disk, self.bug, Arc::clone(&self.checkpoints));
        let options = EngineOptions {
            limits: self.limits,
            patterns: driftq_core::Patterns::default(),
            seed: self.seed,
            release: "simulated".to_owned(),
            checkpoint_bytes: self.setup.checkpoint_bytes,
            checkpoint_turn: self.checkpoint_turn(),
            turn_room: TURN_ROOM,
            turn_bytes_max: TURN_BYTES_MAX,
            progress: driftq_log::Progress::default(),
        };
        let (node, recovery) = Writer::open(log, checkpoints, self.clock.clone(), options)?;
        Ok((node, recovery.checkpoint > 0))
    }

    /// Half of all worlds write their checkpoints in the smallest pieces, few a turn.
    fn checkpoint_turn(&self) -> CheckpointTurn {
        if self.seed.is_multiple_of(2) {
            CheckpointTurn { bytes: 50, piece_entries: 0 }
        } else {
            CheckpointTurn::default()
        }
    }

    pub(super) fn segments(&self) -> usize {
        self.disk.files().iter().filter(|name| name.starts_with("wal-")).count()
    }

    /// Compares what a start found with what was promised, and goes on from there.
    pub(super) fn resume(&mut self, node: Node, unjudged: &[Vec<u8>], power: bool) -> Verdict {
        let _read_from_the_log = self.tape.take();
        self.segments_at_start = self.segments();
        let records = self.read_log()?;
        let known = self.history.iter().chain(unjudged);
        let kept = known.zip(&records).take_while(|(before, after)| before == after).count();
        let before = self.history.len() + unjudged.len();
        if !power && kept < before {
            return Err(format!("a kill left {kept} of {before} records"));
        }
        if (kept as u64) < self.promised.0 {
            return Err(format!("records up to {} were promised, {kept} are left", self.promised));
        }
        if kept < before {
            self.marks.hit("leases forgotten by a power cut");
        }
        if power && kept as u64 > self.promised.0 {
            self.marks.hit("unsynced work kept");
        }
        if self.checkpoints.load(Ordering::Relaxed) > 0 {
            self.marks.hit("checkpoint written");
        }
        let from = kept.min(self.history.len());
        if from < self.history.len() {
            self.forget(&records[..from])?;
        }
        self.node = Some(node);
        self.broker = self.node.as_ref().map(Writer::broker);
        (self.died, self.power_failed) = (true, power);
        self.judge(&records[from..])?;
        (self.died, self.power_failed, self.draining) = (false, false, false);
        self.flights.clear();
        self.untaken.clear();
        self.rebuilt_is_recovered(&records)?;
        let model = &self.model;
        self.handed.retain(|(_, lease)| model.lease_position(*lease) > Position(0));
        self.promised = self.model.applied;
        self.settle()
    }

    pub(super) fn read_log(&self) -> Verdict<Vec<Vec<u8>>> {
        let records = self.reader.as_ref().map_or(Ok(Vec::new()), read_all);
        records.map_err(|error| format!("the log cannot be read: {error}"))
    }

    /// Goes back to the moment that a power cut left.
    pub(super) fn forget(&mut self, records: &[Vec<u8>]) -> Verdict {
        let known: Known = std::mem::take(&mut self.model.known);
        let mut model = Model::new(self.limits);
        model.known = known;
        let mut unheard = Marks::default();
        for (bytes, position) in records.iter().zip(1..) {
            let record = Record::decode(bytes).map_err(|error| error.to_string())?;
            let mut context =
                Context { calls: None, monotonic: Millis(0), wall: WallTime(0), marks: &mut unheard };
            model.follow(Position(position), &record, &mut context)?;
        }
        model.is_whole()?;
        self.model = model;
        self.history.truncate(records.len());
        Ok(())
    }

    pub(super) fn rebuilt_is_recovered(&self, records: &[Vec<u8>]) -> Verdict {
        let Some(node) = &self.node else { return Ok(()) };
        let mut rebuilt = State::new(self.limits);
        for (bytes, position) in records.iter().zip(1..) {
            let record = Record::decode(bytes).map_err(|error| error.to_string())?;
            apply(&mut rebuilt, Position(position), &record);
        }
        if rebuilt == *node.state() {
            return Ok(());
        }
        let difference = difference(&rebuilt, node.state());
        Err(format!("the recovered state is not the one that the log tells of: {difference}"))
    }

    /// Stops in order, and starts again.
    pub(crate) fn restart(&mut self) -> Verdict {
        let Some(broker) = self.broker.clone() else { return Ok(()) };
        self.draining = true;
        broker.drain();
        broker.stop();
        self.turn()?;
        let stopping = self.node.take_if(|node| node.is_stopping());
        let Some(node) = stopping else { return Ok(()) };
        match node.close() {
            Ok(()) => {
                self.marks.hit("restart in order");
                self.promised = self.promised.max(self.model.applied);
                self.closed_in_order = true;
            }
            Err(error) if self.armed.stop || self.armed.sync || self.armed.write => {
                self.trace.add(error.to_string().as_bytes());
            }
            Err(error) => return Err(format!("the stop failed: {error}")),
        }
        self.armed.power = !self.armed.sync;
        self.die(None)
    }
}

fn difference(one: &State, other: &State) -> String {
    if (one.now, one.wall, one.epoch, one.applied) != (other.now, other.wall, other.epoch, other.applied) {
        return format!("time or position: {} and {}", one.applied, other.applied);
    }
    for (id, topic) in &one.topics {
        if other.topics.get(id) != Some(topic) {
            return format!("topic {topic:?} and {:?}", other.topics.get(id));
        }
    }
    for (id, group) in &one.groups {
        if other.groups.get(id) != Some(group) {
            return format!("group {group:?} and {:?}", other.groups.get(id));
        }
    }
    for (no, run) in &one.runs {
        if other.runs.get(no).as_ref() != Some(&run) {
            return format!("run {run:?} and {:?}", other.runs.get(no));
        }
    }
    if one.keys != other.keys {
        return format!("keys {:?} and {:?}", one.keys, other.keys);
    }
    "what is derived, or more entities on one side".to_owned()
}
