//! Stories over HTTP against a server in this process.

mod access;
mod dialects;
mod harness;
mod lifecycle;
mod messages;
mod openapi;
mod refusals;
mod runs;
mod settling;
mod timelines;
