//! The engine on a faulty disk and a clock that is moved by hand.

mod durability;
mod harness;
mod operating;
mod waiting;
mod waiting_edges;
