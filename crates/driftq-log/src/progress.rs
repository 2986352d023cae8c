//! How far a start has come, for whoever watches it.
//!
//! Promise: it counts bytes and decides nothing; what is done never passes what there is to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that were read, of those there are to read. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// There are so many bytes more to read.
    pub fn expect(&self, bytes: u64) {
        self.0.total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many of them are read.
    pub fn add(&self, bytes: u64) {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that were read, and bytes there are to read as far as is known.
    #[must_use]
    pub fn seen(&self) -> (u64, u64) {
        let total = self.0.total.load(Ordering::Relaxed);
        (self.0.done.load(Ordering::Relaxed).min(total), total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_never_passes_what_there_is_to_do() {
        let progress = Progress::default();
        progress.add(5);
        assert_eq!(progress.seen(), (0, 0));
        progress.expect(7);
        assert_eq!(progress.seen(), (5, 7));
        progress.add(5);
        assert_eq!(progress.seen(), (7, 7));
    }
}
