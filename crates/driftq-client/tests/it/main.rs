//! The client over a real socket: against a server that a test scripts, and against a real one.

mod consume;
mod driftqd;
mod events;
mod examples;
mod operators;
mod requests;
mod server;
mod tls;
mod worker;
