//! The engine on a faulty disk and a clock that is moved by hand.

mod by_hand;
mod durability;
mod harness;
mod operating;
mod promises;
mod waiting;
mod waiting_edges;
