//! What the promises of durability say, told with a faulty disk.

use std::time::Duration;

use driftq_log::{Fault, FaultyDisk, Log, LogError, LogReader, Operation, Position, Room};

use crate::util::{append_synced, expect, one, open, options, segments};

#[test]
fn p01_what_was_synced_survives_a_power_cut_and_what_was_not_is_a_prefix() {
    for seed in 0..50 {
        let disk = FaultyDisk::new(seed);
        let (mut log, _) = open(&disk);
        append_synced(&mut log, 1, 20);
        for position in 21..=25 {
            log.append(&driftq_log::conformance::batch(position, 1, 60)).expect("room");
        }
        let (log, recovered) = open(&disk.after_crash());
        assert!((20..=25).contains(&recovered.last.0));
        expect(&log, 1, recovered.last.0);
    }
}

#[test]
fn p01_a_batch_is_there_whole_or_not_at_all() {
    let mut seen = [false; 2];
    for seed in 0..200 {
        let disk = FaultyDisk::new(seed);
        let (mut log, _) = open(&disk);
        append_synced(&mut log, 1, 3);
        log.append(&driftq_log::conformance::batch(4, 10, 60)).expect("room");
        let (log, recovered) = open(&disk.after_crash());
        assert!([3, 13].contains(&recovered.last.0), "{} is in the middle of a batch", recovered.last);
        expect(&log, 1, recovered.last.0);
        seen[usize::from(recovered.last.0 == 13)] = true;
    }
    assert_eq!(seen, [true, true], "both ends of the story were played");
}

#[test]
fn p01_everything_handed_over_survives_the_death_of_the_process() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    append_synced(&mut log, 1, 3);
    log.append(&driftq_log::conformance::batch(4, 2, 60)).expect("room");
    let (log, recovered) = open(&disk.after_kill());
    expect(&log, 1, 5);
    assert!(recovered.rewritten_frames >= 1, "what no mark proves is written again");
    assert!(!recovered.clean);
}

#[test]
fn what_only_the_page_cache_held_is_synced_again_before_it_is_served() {
    for seed in 0..50 {
        let disk = FaultyDisk::new(seed);
        let (mut log, _) = open(&disk);
        append_synced(&mut log, 1, 3);
        log.append(&driftq_log::conformance::batch(4, 4, 60)).expect("room");
        disk.plan(Operation::Sync, 1, Fault::Error);
        assert!(matches!(log.wait(Position(3), Duration::ZERO), Err(LogError::Fatal { .. })));
        // The next start sees the bytes in the cache, though the disk may not have them.
        let disk = disk.after_kill();
        let (log, _) = open(&disk);
        expect(&log, 1, 7);
        // It served them, so a power cut may not take them any more.
        let (log, _) = open(&disk.after_crash());
        expect(&log, 1, 7);
    }
}

#[test]
fn p15_the_first_failed_sync_ends_everything_and_is_never_tried_again() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    append_synced(&mut log, 1, 3);
    log.append(&one(b"lost")).expect("room");
    disk.plan(Operation::Sync, 1, Fault::Error);
    assert!(matches!(log.wait(Position(3), Duration::ZERO), Err(LogError::Fatal { .. })));
    assert_eq!(log.durable(), Position(3));
    let calls = disk.operations();
    assert!(matches!(log.wait(Position(3), Duration::ZERO), Err(LogError::Fatal { .. })));
    assert!(matches!(log.append(&one(b"more")), Err(LogError::Fatal { .. })));
    assert!(matches!(log.reserve(1, 1, Room::Settlement), Err(LogError::Fatal { .. })));
    assert!(matches!(log.mark(), Err(LogError::Fatal { .. })));
    assert!(matches!(log.release(Position(2)), Err(LogError::Fatal { .. })));
    assert!(matches!(log.close(), Err(LogError::Fatal { .. })));
    assert_eq!(disk.operations(), calls, "the disk is not asked again");
}

#[test]
fn p15_a_sync_that_fails_while_rotating_ends_everything_too() {
    for n in 1..=4 {
        let disk = FaultyDisk::new(n);
        let (mut log, _) = open(&disk);
        disk.plan(Operation::Sync, n, Fault::Error);
        let failed = (1..200).find_map(|at| log.append(&driftq_log::conformance::batch(at, 1, 200)).err());
        assert!(matches!(failed, Some(LogError::Fatal { .. })), "sync {n}: {failed:?}");
        assert!(matches!(log.append(&one(b"more")), Err(LogError::Fatal { .. })));
        assert!(log.durable() <= log.last());
    }
}

#[test]
fn a_write_that_fails_once_is_tried_once_more() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    disk.plan(Operation::Write, 1, Fault::Error);
    append_synced(&mut log, 1, 2);
    expect(&log, 1, 2);
    disk.plan(Operation::Write, 1, Fault::Error);
    disk.plan(Operation::Write, 2, Fault::Error);
    assert!(matches!(log.append(&one(b"lost")), Err(LogError::Fatal { .. })));
    assert_eq!(log.last(), Position(2));
}

#[test]
fn a_log_closed_in_order_says_so_and_rewrites_nothing() {
    let disk = FaultyDisk::new(1);
    let (mut log, first) = open(&disk);
    append_synced(&mut log, 1, 100);
    log.close().expect("a sound disk");
    let (log, recovered) = open(&disk.after_kill());
    expect(&log, 1, 100);
    assert!(recovered.clean && recovered.epoch > first.epoch);
    assert_eq!((recovered.rewritten_frames, recovered.cut_bytes, recovered.frames), (0, 0, 100));
    assert_eq!((recovered.first, recovered.last, recovered.records), (Position(1), Position(100), 100));
}

#[test]
fn closing_makes_everything_durable_first() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    log.append(&driftq_log::conformance::batch(1, 3, 60)).expect("room");
    log.close().expect("a sound disk");
    let (log, recovered) = open(&disk.after_crash());
    expect(&log, 1, 3);
    assert!(recovered.clean);
    assert_eq!(recovered.rewritten_frames, 0, "the closing mark proves all of it");
}

#[test]
fn after_a_mark_nothing_needs_to_be_written_again() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    append_synced(&mut log, 1, 5);
    log.mark().expect("a sound disk");
    let calls = disk.operations();
    log.mark().expect("nothing to do");
    assert_eq!(disk.operations(), calls, "a mark that is there is not written again");
    let (_, recovered) = open(&disk.after_crash());
    assert_eq!((recovered.last, recovered.rewritten_frames), (Position(5), 0));
}

#[test]
fn starting_again_and_again_takes_no_space() {
    let mut disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    append_synced(&mut log, 1, 5);
    drop(log);
    let mut used = Vec::new();
    for _ in 0..10 {
        disk = disk.after_kill();
        let (log, _) = open(&disk);
        expect(&log, 1, 5);
        used.push((disk.used(), segments(&disk).len()));
    }
    assert_eq!(used[1], used[9], "{used:?}");
}

#[test]
fn p23_release_takes_whole_segments_and_only_those() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    append_synced(&mut log, 1, 300);
    let before = segments(&disk);
    log.release(Position(2)).expect("a sound disk");
    assert_eq!(segments(&disk), before, "no segment is wholly before 2");
    log.release(Position(150)).expect("a sound disk");
    let first = log.first();
    assert!(first > Position(1) && first <= Position(150));
    let after = segments(&disk);
    assert!(before.ends_with(&after) && after.len() < before.len());
    expect(&log, first.0, 300);
    assert!(
        matches!(log.reader().read(Position(1)), Err(LogError::Trimmed { first: left }) if left == first)
    );
    let (log, recovered) = open(&disk.after_crash());
    assert_eq!(recovered.first, first);
    expect(&log, first.0, 300);
}

#[test]
fn p23_opening_removes_no_file_that_it_does_not_know() {
    use driftq_log::{Disk, DiskFile};
    let disk = FaultyDisk::new(1);
    for name in ["notes.txt", "wal-1", "wal-00000000000000000001.quarantine-1", "snapshot-x"] {
        let file = disk.create(name).expect("a free name");
        file.write_at(b"mine", 0).expect("room");
        file.sync().expect("a sound disk");
    }
    let (mut log, _) = open(&disk);
    append_synced(&mut log, 1, 50);
    log.release(Position(50)).expect("a sound disk");
    let (_log, _) = open(&disk.after_kill());
    for name in ["notes.txt", "wal-1", "wal-00000000000000000001.quarantine-1", "snapshot-x"] {
        assert_eq!(disk.contents(name).as_deref(), Some(&b"mine"[..]));
    }
}

#[test]
fn a_position_known_from_a_snapshot_may_lie_inside_a_frame() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    log.append(&driftq_log::conformance::batch(1, 10, 60)).expect("room");
    log.wait(Position(0), Duration::ZERO).expect("a sound disk");
    let disk = disk.after_crash();
    let told = driftq_log::WalOptions { proven: Position(4), ..options() };
    let (log, _) = driftq_log::Wal::open(disk, told).expect("a sound log");
    expect(&log, 1, 10);
}

#[test]
fn sealed_segments_below_a_snapshot_are_opened_without_reading_their_records() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    append_synced(&mut log, 1, 500);
    log.close().expect("a sound disk");
    let (_, from_all) = open(&disk.after_kill());
    // Damage in the middle of the first segment, which the snapshot makes superfluous to read.
    let first = segments(&disk).remove(0);
    assert!(disk.flip(&first, 1000, 3));
    let told = driftq_log::WalOptions { proven: Position(480), ..options() };
    let (log, from_seals) = driftq_log::Wal::open(disk.after_kill(), told.clone()).expect("a sound tail");
    assert_eq!((from_all.frames, from_all.records), (from_seals.frames, from_seals.records));
    let found = driftq_log::conformance::read_from(&log.reader(), Position(400)).expect("a sound tail");
    assert_eq!(found.len(), 101);
    // Whoever reads it is told, and so is whoever asks for everything to be checked.
    let corrupt = |error: &LogError| matches!(error, LogError::Corrupt { file, .. } if *file == first);
    assert!(corrupt(&driftq_log::conformance::read_from(&log.reader(), Position(1)).expect_err("damage")));
    let all = driftq_log::WalOptions { check_all: true, ..told };
    assert!(corrupt(&driftq_log::Wal::open(disk.after_kill(), all).expect_err("damage")));
}
