//! The torture's checker, on ledgers written by hand, and the sums of memory.

mod checker;
mod memory;
