//! One suite for every log: what the contract of [`crate::Log`] says, as tests to call.
//!
//! An implementation hands in how it opens its log on the same medium again; each function panics with the
//! sentence that does not hold.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::{Batch, Log, LogError, LogReader, Position, Room};

const WAIT: Duration = Duration::from_secs(1);

/// Runs every check, each on a fresh medium; `fresh` makes one and returns what opens a log on it.
pub fn check_all<L: Log, O: FnMut() -> L>(mut fresh: impl FnMut() -> O) {
    an_empty_log_says_so(&mut fresh());
    positions_are_dense(&mut fresh());
    the_mark_never_runs_ahead(&mut fresh());
    records_come_back_over_an_opening(&mut fresh());
    a_batch_that_is_too_large_changes_nothing(&mut fresh());
    readers_see_what_is_appended_after_them(&mut fresh());
    neighbours_are_the_records_they_claim_to_be(&mut fresh());
    what_was_released_is_gone_for_good(&mut fresh());
    epochs_grow(&mut fresh());
}

/// A batch of `count` records that tell their position apart.
pub fn batch(first: u64, count: u64, size: usize) -> Batch {
    let mut batch = Batch::new();
    for position in first..first + count {
        batch.push(&record(position, size));
    }
    batch
}

/// The record at a position in these tests: its number, and `size` bytes that depend on it.
pub fn record(position: u64, size: usize) -> Vec<u8> {
    let mut record = position.to_le_bytes().to_vec();
    record.extend((0..size as u64).map(|at| (position.wrapping_mul(31).wrapping_add(at * 7) % 251) as u8));
    record
}

/// All records from `from` on.
///
/// # Errors
/// Those of the scan.
pub fn read_from(reader: &impl LogReader, from: Position) -> Result<Vec<(Position, Vec<u8>)>, LogError> {
    let mut records = Vec::new();
    reader.scan(from, &mut |position, record| {
        records.push((position, record.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok(records)
}

fn append<L: Log>(log: &mut L, count: u64, size: usize) -> Position {
    let next = log.last().next().0;
    log.append(&batch(next, count, size)).expect("there is room")
}

fn expect_records(reader: &impl LogReader, from: u64, to: u64, size: usize) {
    let expected: Vec<_> = (from..=to).map(|position| (Position(position), record(position, size))).collect();
    assert_eq!(
        read_from(reader, Position(from)).expect("a sound log"),
        expected,
        "a scan hands out all, in order"
    );
    for (position, record) in expected {
        assert_eq!(reader.read(position).expect("a record that is there"), record, "a read finds {position}");
    }
}

fn an_empty_log_says_so<L: Log>(open: &mut impl FnMut() -> L) {
    let mut log = open();
    assert_eq!((log.last(), log.durable()), (Position(0), Position(0)));
    assert_eq!(
        log.append(&Batch::new()).expect("nothing to do"),
        Position(0),
        "an empty batch changes nothing"
    );
    let reader = log.reader();
    assert_eq!(reader.first(), Position(1));
    assert!(read_from(&reader, Position(1)).expect("an empty scan").is_empty());
    assert!(matches!(reader.read(Position(1)), Err(LogError::NotFound { .. })));
    assert!(matches!(reader.read(Position(0)), Err(LogError::Trimmed { .. })));
    log.mark().expect("nothing to mark");
    log.close().expect("nothing to close");
}

fn positions_are_dense<L: Log>(open: &mut impl FnMut() -> L) {
    let mut log = open();
    for (count, last) in [(1, 1), (3, 4), (2, 6)] {
        assert_eq!(append(&mut log, count, 5), Position(last));
    }
    expect_records(&log.reader(), 1, 6, 5);
    expect_records(&log.reader(), 3, 6, 5);
}

fn the_mark_never_runs_ahead<L: Log>(open: &mut impl FnMut() -> L) {
    let mut log = open();
    let mut before = Position(0);
    for count in 1..=5 {
        let last = append(&mut log, count, 10);
        assert!(log.durable() <= log.last());
        let durable = log.wait(before, WAIT).expect("a sound disk");
        assert!(durable > before && durable <= last, "waiting moves the mark");
        assert_eq!(durable, log.durable());
        before = durable;
    }
    assert_eq!(log.wait(log.last(), WAIT).expect("nothing to wait for"), log.durable());
}

fn records_come_back_over_an_opening<L: Log>(open: &mut impl FnMut() -> L) {
    let mut log = open();
    for _ in 0..20 {
        append(&mut log, 3, 40);
    }
    log.close().expect("a sound disk");
    for round in 0..3 {
        let mut log = open();
        assert_eq!(log.last(), Position(60 + round), "positions go on where they ended");
        assert_eq!(log.durable(), log.last(), "what an opening serves is durable");
        expect_records(&log.reader(), 1, 60 + round, 40);
        append(&mut log, 1, 40);
        log.close().expect("a sound disk");
    }
}

fn a_batch_that_is_too_large_changes_nothing<L: Log>(open: &mut impl FnMut() -> L) {
    let mut log = open();
    append(&mut log, 1, 1);
    let max = log.limits().frame_bytes_max;
    let mut large = Batch::new();
    large.push(&vec![7; max + 1]);
    assert!(matches!(log.append(&large), Err(LogError::TooLarge { .. })));
    assert_eq!(log.last(), Position(1));
    let mut largest = Batch::new();
    largest.push(&vec![7; max]);
    log.reserve(max, 1, Room::Growth).expect("room for one batch");
    assert_eq!(log.append(&largest).expect("the largest batch fits"), Position(2));
    assert_eq!(log.reader().read(Position(2)).expect("it is there").len(), max);
}

fn readers_see_what_is_appended_after_them<L: Log>(open: &mut impl FnMut() -> L) {
    let mut log = open();
    let reader = log.reader();
    let on_another_thread = reader.clone();
    append(&mut log, 10, 30);
    let there =
        std::thread::spawn(move || read_from(&on_another_thread, Position(1)).expect("a sound log").len());
    assert_eq!(there.join().expect("the reader does not panic"), 10);
    expect_records(&reader, 1, 10, 30);
}

fn neighbours_are_the_records_they_claim_to_be<L: Log>(open: &mut impl FnMut() -> L) {
    let mut log = open();
    for _ in 0..30 {
        append(&mut log, 4, 25);
    }
    let reader = log.reader();
    for at in [1, 2, 60, 119, 120] {
        let mut seen = Vec::new();
        let found =
            reader.read_with(Position(at), &mut |position, bytes| seen.push((position, bytes.to_vec())));
        assert_eq!(found.expect("a record that is there"), record(at, 25));
        for (position, bytes) in seen {
            assert_ne!(position, Position(at), "the answer is not handed out twice");
            assert_eq!(bytes, record(position.0, 25));
        }
    }
}

fn what_was_released_is_gone_for_good<L: Log>(open: &mut impl FnMut() -> L) {
    let mut log = open();
    for _ in 0..100 {
        append(&mut log, 2, 100);
    }
    log.wait(Position(199), WAIT).expect("a sound disk");
    let full = log.bytes();
    log.release(Position(150)).expect("a sound disk");
    let first = log.reader().first();
    assert!(first <= Position(150), "releasing is a hint that never takes more");
    assert!(first == Position(1) || log.bytes() < full, "what is released gives space back");
    expect_records(&log.reader(), first.0, 200, 100);
    if first > Position(1) {
        let below = log.reader().read(first.previous());
        assert!(matches!(below, Err(LogError::Trimmed { first: left }) if left == first));
    }
    log.close().expect("a sound disk");
    let mut log = open();
    assert_eq!(log.reader().first(), first);
    append(&mut log, 1, 100);
    expect_records(&log.reader(), first.0, 201, 100);
}

fn epochs_grow<L: Log>(open: &mut impl FnMut() -> L) {
    let mut before = open();
    append(&mut before, 1, 1);
    let epoch = before.epoch();
    before.close().expect("a sound disk");
    let mut after = open();
    assert!(after.epoch() > epoch);
    append(&mut after, 1, 1);
    expect_records(&after.reader(), 1, 2, 1);
}
