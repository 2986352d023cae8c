//! Small logs on a faulty disk.

use driftq_log::{Batch, FaultyDisk, Log, LogError, Position, Recovered, Wal, WalOptions};

pub(crate) const SEGMENT_BYTES: u64 = 4 << 10;

/// Small segments, with one of them in reserve.
pub(crate) fn options() -> WalOptions {
    WalOptions { segment_bytes: SEGMENT_BYTES, reserve_bytes: SEGMENT_BYTES, ..WalOptions::default() }
}

pub(crate) fn open(disk: &FaultyDisk) -> (Wal<FaultyDisk>, Recovered) {
    try_open(disk).expect("a log that opens")
}

pub(crate) fn try_open(disk: &FaultyDisk) -> Result<(Wal<FaultyDisk>, Recovered), LogError> {
    Wal::open(disk.clone(), options())
}

pub(crate) fn one(record: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.push(record);
    batch
}

/// Appends records `from..=to`, one a frame, and syncs.
pub(crate) fn append_synced(log: &mut Wal<FaultyDisk>, from: u64, to: u64) {
    for position in from..=to {
        let batch = driftq_log::conformance::batch(position, 1, 60);
        assert_eq!(log.append(&batch).expect("room"), Position(position));
    }
    log.wait(Position(to - 1), std::time::Duration::ZERO).expect("a sound disk");
}

/// Checks that records `from..=to` are there and nothing after them.
pub(crate) fn expect(log: &Wal<FaultyDisk>, from: u64, to: u64) {
    let found = driftq_log::conformance::read_from(&log.reader(), Position(from)).expect("a sound log");
    let expected: Vec<_> =
        (from..=to).map(|at| (Position(at), driftq_log::conformance::record(at, 60))).collect();
    assert_eq!(found, expected);
}

/// The segments of the log, in order.
pub(crate) fn segments(disk: &FaultyDisk) -> Vec<String> {
    disk.files().into_iter().filter(|name| name.starts_with("wal-0") && name.len() == 24).collect()
}
