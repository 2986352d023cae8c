//! The client against a server that a test scripts, over a real socket.

mod consume;
mod events;
mod requests;
mod server;
