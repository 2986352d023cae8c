//! Stories over HTTP against a server in this process.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on fails where it stands")]

mod access;
mod dialects;
mod harness;
mod lifecycle;
mod messages;
mod openapi;
mod operating;
mod process;
mod refusals;
mod runs;
mod settling;
mod timelines;
mod topic_settings;
