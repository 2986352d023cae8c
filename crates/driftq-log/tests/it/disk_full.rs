//! P13: a full disk refuses growth, lets settling go on, and heals without a restart.

use std::time::Duration;

use driftq_log::conformance::batch;
use driftq_log::{Fault, FaultyDisk, Log, LogError, Operation, Position, Room};

use crate::util::{SEGMENT_BYTES, expect, open};

/// Appends records of 60 bytes until the log is full, each reserved for before.
fn fill(log: &mut impl Log, room: Room) -> LogError {
    for _ in 0..100_000 {
        let next = log.last().next().0;
        let one = batch(next, 1, 60);
        if let Err(error) = log.reserve(one.bytes(), one.len(), room) {
            return error;
        }
        log.append(&one).expect("what was reserved cannot fail");
    }
    panic!("the disk never got full");
}

#[test]
fn p13_a_full_disk_refuses_growth_and_settling_goes_on_from_the_reserve() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    disk.limit(Some(disk.used() + 3 * SEGMENT_BYTES));
    let full = fill(&mut log, Room::Growth);
    assert!(matches!(full, LogError::Full { .. }) && full.is_retryable());
    let grown = log.last();
    assert!(matches!(log.append(&batch(grown.next().0, 1, 60)), Err(LogError::Full { .. })));
    assert_eq!(log.last(), grown, "a refused append changes nothing");

    let full = fill(&mut log, Room::Settlement);
    assert!(matches!(full, LogError::Full { .. }));
    let settled = log.last().0 - grown.0;
    assert!(settled >= SEGMENT_BYTES / 2 / 130, "only {settled} records went into the reserve");
    assert!(matches!(log.reserve(60, 1, Room::Growth), Err(LogError::Full { .. })), "growth may not use it");
    log.wait(grown, Duration::ZERO).expect("syncing needs no room");
    expect(&log, 1, log.last().0);
}

#[test]
fn p13_room_again_means_appends_again_without_a_restart() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    disk.limit(Some(disk.used() + 2 * SEGMENT_BYTES));
    fill(&mut log, Room::Growth);
    fill(&mut log, Room::Settlement);
    disk.limit(Some(disk.used() + 4 * SEGMENT_BYTES));
    log.reserve(60, 1, Room::Growth).expect("there is room, and for the reserve too");
    let next = log.last().next();
    assert_eq!(log.append(&batch(next.0, 1, 60)).expect("reserved"), next);
    expect(&log, 1, next.0);
}

#[test]
fn p13_releasing_on_a_full_disk_gives_room_back() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    disk.limit(Some(disk.used() + 4 * SEGMENT_BYTES));
    fill(&mut log, Room::Growth);
    log.wait(Position(0), Duration::ZERO).expect("a sound disk");
    log.release(log.last()).expect("releasing needs no room");
    log.reserve(60, 1, Room::Growth).expect("the room is back");
}

#[test]
fn p13_a_log_on_a_full_disk_opens_again_after_a_crash() {
    for seed in 1..=20 {
        let disk = FaultyDisk::new(seed);
        let (mut log, _) = open(&disk);
        disk.limit(Some(disk.used() + 2 * SEGMENT_BYTES));
        fill(&mut log, Room::Growth);
        let last = log.last();
        log.wait(last.previous(), Duration::ZERO).expect("a sound disk");
        let disk = if seed % 2 == 1 { disk.after_kill() } else { disk.after_crash() };
        let (mut log, recovered) = open(&disk);
        assert_eq!(recovered.last, last);
        expect(&log, 1, last.0);
        log.reserve(60, 1, Room::Settlement).expect("settling goes on");
    }
}

#[test]
fn p13_what_was_reserved_cannot_fail_for_space() {
    for records in [1, 5, 40] {
        let disk = FaultyDisk::new(1);
        let (mut log, _) = open(&disk);
        let bytes = records * 68;
        log.reserve(bytes, records, Room::Growth).expect("room");
        disk.limit(Some(disk.used()));
        for _ in 0..records {
            let next = log.last().next().0;
            log.append(&batch(next, 1, 60)).expect("what was reserved cannot fail");
        }
    }
}

#[test]
fn p13_a_write_that_finds_no_room_half_way_leaves_no_trace() {
    for seed in 0..20 {
        let disk = FaultyDisk::new(seed);
        let (mut log, _) = open(&disk);
        log.append(&batch(1, 1, 60)).expect("room");
        disk.plan(Operation::Write, 1, Fault::Short);
        disk.plan(Operation::Write, 2, Fault::Full);
        assert!(matches!(log.append(&batch(2, 9, 60)), Err(LogError::Full { .. })));
        assert_eq!(log.last(), Position(1));
        expect(&log, 1, 1);
        log.append(&batch(2, 1, 60)).expect("room again");
        log.wait(Position(1), Duration::ZERO).expect("a sound disk");
        let (log, recovered) = open(&disk.after_crash());
        assert_eq!(recovered.last, Position(2));
        expect(&log, 1, 2);
    }
}

#[test]
fn a_reservation_beyond_all_bounds_is_refused_without_filling_the_disk() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    let used = disk.used();
    assert!(matches!(log.reserve(usize::MAX, usize::MAX, Room::Growth), Err(LogError::TooLarge { .. })));
    assert_eq!(disk.used(), used);
}
