//! Stories over HTTP against a server in this process.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on fails where it stands")]

mod access;
mod attempts;
mod audit;
mod dead_letters;
mod dev_clock;
mod dialects;
mod harness;
mod lifecycle;
mod messages;
mod no_request;
mod openapi;
mod operating;
mod process;
mod promises;
mod recovering;
mod redrive_jobs;
mod refusals;
mod runs;
mod settling;
mod timelines;
mod tls;
mod tokens;
mod topic_settings;
