//! The simulator's own tests: fresh seeds, seeds that once failed, the same trace twice, planted bugs.

#![expect(clippy::print_stdout, reason = "a seed that fails must be known")]

mod every_io;
mod planted;
mod seeds;
