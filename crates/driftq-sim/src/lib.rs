//! A broker's lives, simulated: seeded, on a virtual clock, over a disk that loses and tears, with clients that do too.
//!
//! Promise: a seed is a plan, a plan is a trace, the same every time. A plain reference model, written from the wire
//! contract, follows each fact of the log and judges each answer; it shares words with the broker, not rules. What it
//! does *not* do: test HTTP, threads, or speed.

mod actions;
mod acts;
mod bugs;
mod calls;
mod compare;
mod life;
mod marks;
mod model;
mod operators;
mod plan;
mod seams;
mod seeds;
mod shrink;
mod workload;
mod world;

pub use bugs::Bug;
pub use life::{Report, live};
pub use marks::{MARKS, Marks};
pub use model::Verdict;
pub use plan::{Fate, Input, Message, Op, Pick, Plan, PlanError, Policy, SeekPlace, Setup, Take, Way, Who};
pub use seeds::{Batch, Failure};
pub use shrink::{LIVES_MAX, shrink};
pub use workload::{COMMANDS, plan};
