//! The torture: real processes under load while `driftqd` is killed again and again, and a ledger that is checked.
//!
//! Promise: nothing is concluded from what the server says about itself while it runs; the ledger of its clients, and
//! what a last start still has, decide. The checker is tried on faults planted into that very ledger.

mod book;
mod check;
mod cycles;
mod ledger;
mod plant;
mod producers;
mod runs;
mod scene;
mod survey;
mod workers;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use tokio::task::JoinSet;

pub use check::{Rule, Violation, check};
pub use ledger::{Line, read};
pub use plant::{PLANTS, Plant};

use crate::{BenchError, Binary};
use cycles::Stage;
use ledger::{Ask, Fact, Ledger};
use producers::TOPICS;
use scene::{Mode, Scene};
use workers::Desk;

/// The ledger's name in the torture's folder.
pub const LEDGER: &str = "ledger.jsonl";
/// What shows that a kill could hit a rotation or a checkpoint.
const ROTATIONS: &str = "rotations within a life";
const CHECKPOINTS: &str = "checkpoints";
const PRODUCERS: u64 = 4;
const RUN_MAKERS: u64 = 2;

/// What a torture is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often the server is killed or stopped.
    pub cycles: u64,
    /// After so long no further cycle begins.
    pub time: Duration,
    /// Where all randomness of the clients begins.
    pub seed: u64,
    /// Where the data, the log and the ledger go.
    pub folder: PathBuf,
}

/// What a torture came to.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Where all randomness began.
    pub seed: u64,
    /// How the server's lives ended, and how often.
    pub ends: BTreeMap<String, u64>,
    /// How often each thing is in the ledger.
    pub counts: BTreeMap<&'static str, u64>,
    /// Planted faults that the checker found.
    pub planted_found: u64,
    /// Planted faults that it did not find; there must be none.
    pub planted_missed: Vec<&'static str>,
    /// Planted faults that this ledger has no place for.
    pub planted_impossible: Vec<&'static str>,
    /// The promises that were broken.
    pub violations: Vec<Violation>,
}

impl Verdict {
    /// What had to happen for the result to mean something, and never did.
    #[must_use]
    pub fn not_exercised(&self) -> Vec<&'static str> {
        let is_missing = |name: &&str| self.counts.get(*name).is_none_or(|count| *count == 0);
        [ROTATIONS, CHECKPOINTS].into_iter().filter(is_missing).collect()
    }

    /// Whether nothing was broken and the checker could have seen it.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && self.planted_missed.is_empty()
    }
}

/// Tortures the server, then checks.
///
/// # Errors
///
/// [`BenchError`] when the torture could not be made; a broken promise is in the [`Verdict`].
pub async fn torture(binary: &Binary, options: &Options) -> Result<(Verdict, Vec<Line>), BenchError> {
    let path = options.folder.join(LEDGER);
    let scene = Arc::new(Scene::new(Ledger::create(&path)?, options.seed));
    let stage = Stage::new(binary.clone(), Arc::clone(&scene), &options.folder);
    stage.set_up().await?;
    let mut actors = actors(&scene);
    stage.cycles(options.cycles, options.time).await?;
    let last = stage.last_life().await?;
    scene.mode.send_replace(Mode::Drain);
    survey::drain(&scene, &last.client).await?;
    survey::survey(&scene, &last.client).await?;
    scene.mode.send_replace(Mode::End);
    while actors.join_next().await.is_some() {}
    stage.close(last).await?;
    scene.ledger.flush()?;
    let lines = read(&path)?;
    Ok((verdict(options.seed, &lines), lines))
}

/// Checks a ledger that was written before.
///
/// # Errors
///
/// [`BenchError`] when it cannot be read.
pub fn recheck(path: &Path) -> Result<(Verdict, Vec<Line>), BenchError> {
    let lines = read(path)?;
    Ok((verdict(0, &lines), lines))
}

fn actors(scene: &Arc<Scene>) -> JoinSet<()> {
    let mut actors = JoinSet::new();
    for number in 1..=PRODUCERS {
        actors.spawn(producers::produce(Arc::clone(scene), "message", number));
    }
    for number in 1..=RUN_MAKERS {
        actors.spawn(runs::make(Arc::clone(scene), number));
    }
    let mut number = 0;
    let mut desk = |topic, group, max_in_flight| {
        number += 1;
        Desk { topic, group, max_in_flight, number }
    };
    for (topic, _) in TOPICS {
        actors.spawn(workers::stream(Arc::clone(scene), desk(topic, "streams", 1)));
        actors.spawn(workers::stream(Arc::clone(scene), desk(topic, "streams", 8)));
        actors.spawn(workers::stream(Arc::clone(scene), desk(topic, "both", 4)));
        actors.spawn(workers::poll(Arc::clone(scene), desk(topic, "both", 1)));
    }
    for max_in_flight in [1, 4] {
        actors.spawn(workers::stream(Arc::clone(scene), desk(runs::COMMANDS, runs::GROUP, max_in_flight)));
    }
    actors
}

fn verdict(seed: u64, lines: &[Line]) -> Verdict {
    let violations = check(lines);
    let mut verdict = Verdict {
        seed,
        ends: BTreeMap::new(),
        counts: BTreeMap::new(),
        planted_found: 0,
        planted_missed: Vec::new(),
        planted_impossible: Vec::new(),
        violations,
    };
    for line in lines {
        if let Fact::Killed { during, .. } = &line.fact {
            *verdict.ends.entry(format!("killed during {during}")).or_default() += 1;
        }
        if let Fact::Left { rotations, checkpoints, .. } = &line.fact {
            *verdict.counts.entry(ROTATIONS).or_default() += rotations;
            *verdict.counts.entry(CHECKPOINTS).or_default() += checkpoints;
        }
        if let Some(name) = counted(&line.fact) {
            *verdict.counts.entry(name).or_default() += 1;
        }
    }
    let known = verdict.violations.len();
    for plant in PLANTS {
        match plant.apply(lines).map(|planted| check(&planted)) {
            None => verdict.planted_impossible.push(plant.name),
            Some(found) if found.len() > known && found.iter().any(|one| one.rule == plant.breaks) => {
                verdict.planted_found += 1;
            }
            Some(_) => verdict.planted_missed.push(plant.name),
        }
    }
    verdict
}

/// What is counted for people.
fn counted(fact: &Fact) -> Option<&'static str> {
    match fact {
        Fact::Ready { .. } => Some("starts that became ready"),
        Fact::Stopped { .. } => Some("stops by SIGTERM"),
        Fact::ProduceIntent { .. } => Some("messages sent"),
        Fact::Produced { duplicate: false, .. } => Some("messages stored"),
        Fact::Produced { duplicate: true, .. } => Some("messages stored before their answer was lost"),
        Fact::Delivered { .. } => Some("deliveries"),
        Fact::Granted { ask: Ask::Ack, .. } => Some("acks granted"),
        Fact::Granted { ask: Ask::Nack, .. } => Some("nacks granted"),
        Fact::Granted { ask: Ask::Extend, .. } => Some("extensions granted"),
        Fact::Refused { .. } => Some("asks of former holders refused"),
        Fact::RunCreated { .. } => Some("runs"),
        Fact::Replayed { .. } => Some("replays"),
        Fact::Cancelled { .. } => Some("runs cancelled"),
        Fact::StepStored { .. } => Some("steps stored"),
        Fact::EventSeen { .. } => Some("events seen live"),
        Fact::TimelineEvent { .. } => Some("events kept"),
        Fact::Kept { .. } => Some("messages kept"),
        Fact::DeadLetter { .. } => Some("dead letters"),
        Fact::Spawned { .. }
        | Fact::Killed { .. }
        | Fact::Left { .. }
        | Fact::ProduceRefused { .. }
        | Fact::Asking { .. }
        | Fact::RunIntent { .. }
        | Fact::RunAcked { .. }
        | Fact::EventStored { .. }
        | Fact::RunFound { .. }
        | Fact::GroupFound { .. }
        | Fact::Stuck { .. } => None,
    }
}
