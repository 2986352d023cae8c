//! Bytes in order, kept.
//!
//! A log takes batches of opaque records, gives every record the next dense [`Position`], and says
//! through one watermark which of them survive a power cut. It knows no topic, reads no clock, starts
//! no thread and never believes a byte it has not checked.
//!
//! Two logs keep the contract of [`Log`]: [`MemoryLog`] for tests and throw-away nodes, and [`Wal`],
//! a write-ahead log of preallocated segments over the [`Disk`] seam. Snapshots of what a log's reader
//! has built lie beside it in the same folder ([`SnapshotWriter`]).
//!
//! One duty stays with the program: a file limit (`RLIMIT_FSIZE`) kills a process by `SIGXFSZ` unless the
//! signal has a handler. Install any handler for it at start; the write then fails with `EFBIG`, which the
//! log answers as [`LogError::Full`].

mod batch;
mod checksum;
#[cfg(feature = "testing")]
pub mod conformance;
mod disk;
mod error;
mod folder;
mod log;
mod memory;
mod progress;
mod snapshot;
mod wal;

pub use batch::Batch;
#[cfg(feature = "testing")]
pub use disk::faulty::{Fault, FaultyDisk, FaultyFile, Operation};
pub use disk::os::{OsDisk, OsFile};
pub use disk::{Disk, DiskFile};
pub use error::LogError;
pub use folder::reset;
pub use log::{Epoch, Limits, Log, LogReader, Position, Room};
pub use memory::{MemoryLog, MemoryReader, MemoryStore};
pub use progress::Progress;
pub use snapshot::{LoadedSnapshot, Snapshot, SnapshotWarning, SnapshotWriter, load_snapshot};
pub use wal::{Quarantined, Recovered, Wal, WalOptions, WalReader};
