//! Calls of the simulated clients, and what came back.
//!
//! Promise: a call is kept with what it asked and when, so the oracle can say whether a fact was asked for and whether
//! an answer was due.

use driftq_core::{Command, Delivery, Millis, Position, Reply, RunId};
use driftq_engine::{OpenConsumer, Poll, Refusal, Timeline};

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Command(Command),
    Open(OpenConsumer),
    Pull { open: OpenConsumer, max: u32, bytes: u64 },
    Poll(Poll),
    Follow { run: RunId, after: u64, max: usize, bytes: u64 },
    RunEnd { run: RunId, wait: Millis },
    Look,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Reply(Reply),
    Refused(Refusal),
    Opened,
    Deliveries { taken: Vec<Delivery>, untaken: Vec<Delivery> },
    Timeline(Box<Timeline>),
    Ended,
    Looked(Looked),
}

/// What a look at the state saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) applied: Position,
    pub(crate) messages: u64,
}

/// A call that left its client.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) ask: Ask,
    pub(crate) at: Millis,
    /// Whether it was waiting before this turn.
    pub(crate) was_waiting: bool,
    pub(crate) outcome: Option<Outcome>,
}

impl Sent {
    pub(crate) fn command(&self) -> Option<&Command> {
        match &self.ask {
            Ask::Command(command) => Some(command),
            Ask::Open(_)
            | Ask::Pull { .. }
            | Ask::Poll(_)
            | Ask::Follow { .. }
            | Ask::RunEnd { .. }
            | Ask::Look => None,
        }
    }

    /// How it reads messages, if it does.
    pub(crate) fn consumer(&self) -> Option<&OpenConsumer> {
        match &self.ask {
            Ask::Open(open) | Ask::Pull { open, .. } => Some(open),
            Ask::Poll(poll) => Some(&poll.consumer),
            Ask::Command(_) | Ask::Follow { .. } | Ask::RunEnd { .. } | Ask::Look => None,
        }
    }
}
