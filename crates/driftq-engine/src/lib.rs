//! One thread, one order: the broker core at work over a durable log.
//!
//! Promise: callers ask through a bounded queue; a single writer decides, applies, appends and syncs, and answers only
//! when what it says is durable. Nothing polls: whoever waits for a message, an event or a run's end is woken by the
//! fact. What it does *not* know: HTTP, tokio, and any wall clock except through its [`Clock`].

mod bodies;
mod checkpoint;
mod clock;
mod ends;
mod error;
mod handle;
mod inbox;
#[cfg(feature = "planted")]
pub mod planted;
mod recovery;
mod sync_times;
mod waiters;
mod writer;

pub use bodies::{Bodies, BodyError};
pub use checkpoint::{CheckpointTurn, Checkpoints, DiskCheckpoints, NoCheckpoints, ThreadedCheckpoints};
pub use clock::{Clock, HandClock, ManualClock, SystemClock};
pub use error::{EngineError, Refusal};
pub use handle::{Broker, Consumer, Deliveries, OpenConsumer, Poll, Readers, Timeline, TimelineItem};
pub use inbox::{Phase, Status, Totals};
pub use recovery::{Recovery, recover};
pub use sync_times::{SYNC_BOUNDS, SyncTimes};
pub use writer::{Engine, EngineOptions, Writer, start};
