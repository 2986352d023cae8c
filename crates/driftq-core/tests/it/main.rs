//! Stories of the core: a script in, what was answered out.

mod audit;
mod checkpoints;
mod delivery;
mod edges;
mod exhaustive;
mod formats;
mod idempotency;
mod operating;
mod runs;
mod scope;
mod story;
