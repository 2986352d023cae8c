//! Stories of the core: a script in, what was answered out.

mod audit;
mod checkpoints;
mod delivery;
mod edges;
mod exhaustive;
mod formats;
mod idempotency;
mod operating;
mod redrive_jobs;
mod runs;
mod scope;
mod story;
mod ten_thousand;
