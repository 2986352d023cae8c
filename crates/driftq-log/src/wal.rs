//! The write-ahead log: records in preallocated segments of one folder.
//!
//! What it keeps beyond the contract of [`crate::Log`]: a torn tail is told from a rotten record by proof,
//! never by guess; nothing that only the page cache vouches for is served; the disk being full is noticed
//! when a segment is allocated, not when it is synced. The bytes are described in `spec/formats/wal.md`.

mod frame;
mod judge;
mod manifest;
mod quarantine;
mod reader;
mod recovery;
mod scan;
mod segment;
mod space;
mod window;
mod writer;

pub use quarantine::Quarantined;
pub use reader::WalReader;
pub use writer::Wal;

use crate::{Epoch, Position, Progress};

/// The smallest segment; smaller wishes are raised to it.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 4 << 10;
const SEGMENT_BYTES: u64 = 64 << 20;
const RESERVE_BYTES: u64 = 64 << 20;

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct WalOptions {
    /// How large a new segment is; at least 4 KiB.
    pub segment_bytes: u64,
    /// How much is held back for [`crate::Room::Settlement`]; rounded up to whole segments.
    pub reserve_bytes: u64,
    /// Set damaged ranges aside and go on, instead of refusing to open.
    pub quarantine: bool,
    /// A position known from elsewhere (a snapshot, say) to have been durable: a log that ends before it is
    /// damaged. Sealed segments wholly at or below it are opened without reading their records again.
    pub proven: Position,
    /// Read and check every record while opening, also those that `proven` covers.
    pub check_all: bool,
    /// Told how far the opening has come.
    pub progress: Progress,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: SEGMENT_BYTES,
            reserve_bytes: RESERVE_BYTES,
            quarantine: false,
            proven: Position::default(),
            check_all: false,
            progress: Progress::default(),
        }
    }
}

/// What opening a log found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The epoch that this opening was given.
    pub epoch: Epoch,
    /// The first record that is there; one above `last` when there is none.
    pub first: Position,
    /// The last record that is there.
    pub last: Position,
    /// How many records are there.
    pub records: u64,
    /// How many frames hold them.
    pub frames: u64,
    /// Bytes of a torn tail that were cut: work that was never acknowledged.
    pub cut_bytes: u64,
    /// Frames above the proven mark, which were written and synced again.
    pub rewritten_frames: u64,
    /// Old frames that an epoch barrier voids, passed over.
    pub voided_frames: u64,
    /// Whether the log was closed in order.
    pub clean: bool,
    /// What was set aside.
    pub quarantined: Vec<Quarantined>,
    /// What the operator should hear, one sentence each.
    pub warnings: Vec<String>,
}
