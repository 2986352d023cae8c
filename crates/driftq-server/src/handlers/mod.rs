//! One file per resource: each handler extracts, converts, calls the engine, converts.

pub(crate) mod attempts;
pub(crate) mod consume;
pub(crate) mod dead_letters;
pub(crate) mod dev;
pub(crate) mod events;
pub(crate) mod groups;
pub(crate) mod health;
pub(crate) mod messages;
pub(crate) mod produce;
pub(crate) mod redrive_jobs;
pub(crate) mod runs;
pub(crate) mod settle;
pub(crate) mod stats;
pub(crate) mod steps;
pub(crate) mod topics;
