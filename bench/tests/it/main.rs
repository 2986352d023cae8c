//! The torture's checker, on ledgers written by hand.

mod checker;
