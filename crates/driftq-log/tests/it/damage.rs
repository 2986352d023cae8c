//! P14: torn is cut, rotten stops the start, and nothing is skipped without the quarantine flag.

use std::time::Duration;

use driftq_log::conformance::{batch, read_from, record};
use driftq_log::{FaultyDisk, Log, LogError, LogReader, Position, Wal, WalOptions};

use crate::util::{append_synced, expect, open, options, segments, try_open};

const RECORDS: u64 = 120;
/// How many logs are spoiled at random.
const SPOILED: u64 = 4_000;

/// A log of several segments that was closed in order.
fn closed() -> FaultyDisk {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    append_synced(&mut log, 1, RECORDS);
    log.close().expect("a sound disk");
    disk.after_kill()
}

/// The same records, written over several starts.
fn restarted(seed: u64) -> FaultyDisk {
    let mut disk = FaultyDisk::new(seed);
    for from in (1..RECORDS).step_by(40) {
        let (mut log, _) = open(&disk);
        append_synced(&mut log, from, from + 39);
        disk = if seed.is_multiple_of(3) { disk.after_kill() } else { disk.after_crash() };
    }
    open(&disk).0.close().expect("a sound disk");
    disk.after_kill()
}

fn corrupt_file(disk: &FaultyDisk) -> String {
    match try_open(disk) {
        Err(LogError::Corrupt { file, .. }) => file,
        other => panic!("damage must stop the start: {other:?}"),
    }
}

fn quarantine(disk: &FaultyDisk) -> (Wal<FaultyDisk>, driftq_log::Recovered) {
    let options = WalOptions { quarantine: true, ..options() };
    Wal::open(disk.clone(), options).expect("the quarantine flag goes on")
}

/// Where the frame that holds a record lies: its text is unique.
fn offset_of(disk: &FaultyDisk, position: u64) -> (String, u64) {
    let wanted = record(position, 60);
    for name in segments(disk) {
        let bytes = disk.contents(&name).expect("a file");
        if let Some(at) = bytes.windows(wanted.len()).position(|window| window == wanted) {
            return (name, at as u64);
        }
    }
    panic!("record {position} is nowhere");
}

#[test]
fn p14_every_flipped_bit_in_a_record_is_detected_and_named() {
    for position in 1..=RECORDS {
        let disk = closed();
        let (file, offset) = offset_of(&disk, position);
        assert!(disk.flip(&file, offset + position % 68, (position % 8) as u8));
        match try_open(&disk) {
            Err(LogError::Corrupt { file: named, offset: at, end, first, last }) => {
                assert_eq!(named, file);
                assert!(at <= offset && offset < end, "{offset} is not in {at}..{end}");
                assert!(first.0 <= position && position <= last.0, "{position} is not in {first}..={last}");
            }
            other => panic!("a flip in record {position}: {other:?}"),
        }
    }
}

#[test]
fn p14_no_flip_anywhere_in_a_segment_ever_changes_what_is_read() {
    let sound = closed();
    let names = segments(&sound);
    let mut refused = 0;
    for name in &names {
        let length = sound.contents(name).expect("a file").len() as u64;
        for offset in (0..length).step_by(13) {
            let disk = closed();
            assert!(disk.flip(name, offset, (offset % 8) as u8));
            match try_open(&disk) {
                // Padding, a seal, a mark, room never used: no record depends on them.
                Ok((log, _)) => expect(&log, 1, RECORDS),
                Err(LogError::Corrupt { .. }) => refused += 1,
                Err(error) => panic!("flip at {offset} of {name}: {error:?}"),
            }
        }
    }
    assert!(refused > 500, "only {refused} flips were refused");
}

#[test]
fn p14_a_zeroed_sector_stops_the_start() {
    for position in (5..RECORDS - 10).step_by(7) {
        let disk = closed();
        let (file, offset) = offset_of(&disk, position);
        assert!(disk.zero_sector(&file, offset));
        assert_eq!(corrupt_file(&disk), file);
    }
}

#[test]
fn p14_a_missing_or_shortened_segment_stops_the_start() {
    let names = segments(&closed());
    assert!(names.len() >= 4);
    for name in &names {
        let disk = closed();
        assert!(disk.lose(name));
        corrupt_file(&disk);
        for length in [0, 30, 100, 2000] {
            let disk = closed();
            assert!(disk.shorten(name, length));
            corrupt_file(&disk);
        }
    }
    let disk = closed();
    for name in &names {
        assert!(disk.lose(name));
    }
    corrupt_file(&disk);
}

#[test]
fn p14_a_lost_manifest_stops_the_start() {
    let disk = closed();
    assert!(disk.lose("wal-manifest"));
    assert_eq!(corrupt_file(&disk), "wal-manifest");
    let (log, _) = quarantine(&disk);
    expect(&log, 1, RECORDS);
}

#[test]
fn p14_a_refused_start_changes_nothing() {
    let disk = closed();
    let (file, offset) = offset_of(&disk, 50);
    disk.flip(&file, offset, 1);
    let before: Vec<_> = disk.files().into_iter().map(|name| (disk.contents(&name), name)).collect();
    corrupt_file(&disk);
    let after: Vec<_> = disk.files().into_iter().map(|name| (disk.contents(&name), name)).collect();
    assert!(before == after, "the folder is as it was");
}

#[test]
fn p14_what_a_snapshot_knows_to_be_durable_may_not_be_missing() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    append_synced(&mut log, 1, 10);
    drop(log);
    let told = WalOptions { proven: Position(11), ..options() };
    assert!(matches!(Wal::open(disk.after_kill(), told), Err(LogError::Corrupt { .. })));
}

#[test]
fn torn_a_bad_frame_that_nothing_proves_is_cut_and_counted() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    append_synced(&mut log, 1, 5);
    // Three frames, none of which a later mark covers: the first is bad, the others are whole.
    for position in 6..=8 {
        log.append(&batch(position, 1, 60)).expect("room");
    }
    let disk = disk.after_kill();
    let (file, offset) = offset_of(&disk, 6);
    disk.flip(&file, offset, 0);
    let (log, recovered) = open(&disk);
    assert_eq!(recovered.last, Position(5));
    assert!(recovered.cut_bytes > 3 * 68);
    expect(&log, 1, 5);
}

#[test]
fn rotten_the_same_bad_frame_stops_the_start_once_a_mark_covers_it() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    append_synced(&mut log, 1, 8);
    log.mark().expect("a sound disk");
    let disk = disk.after_kill();
    let (file, offset) = offset_of(&disk, 6);
    disk.flip(&file, offset, 0);
    assert_eq!(corrupt_file(&disk), file);
}

#[test]
fn what_was_cut_never_comes_back() {
    for seed in 0..30 {
        let disk = FaultyDisk::new(seed);
        let (mut log, _) = open(&disk);
        append_synced(&mut log, 1, 5);
        for position in 6..=12 {
            log.append(&batch(position, 1, 61)).expect("room");
        }
        let disk = disk.after_kill();
        let (file, offset) = {
            let bytes = disk.contents(&segments(&disk)[0]).expect("a file");
            let wanted = record(6, 61);
            let at = bytes.windows(wanted.len()).position(|window| window == wanted).expect("record 6");
            (segments(&disk)[0].clone(), at as u64)
        };
        disk.flip(&file, offset, 0);
        // Cut at 6; new records take the positions of the old ones.
        let (mut log, _) = open(&disk);
        append_synced(&mut log, 6, 9);
        let disk = disk.after_crash();
        let (log, recovered) = open(&disk);
        assert_eq!(recovered.last, Position(9));
        expect(&log, 1, 9);
    }
}

#[test]
fn p14_quarantine_keeps_the_damaged_file_and_loses_only_the_bad_record() {
    for position in [1, 2, 30, 60, RECORDS - 1] {
        let disk = closed();
        let (file, offset) = offset_of(&disk, position);
        disk.flip(&file, offset + 3, 4);
        let damaged = disk.contents(&file).expect("a file");
        let (mut log, recovered) = quarantine(&disk);
        let [set_aside] = recovered.quarantined.as_slice() else { panic!("{:?}", recovered.quarantined) };
        assert_eq!(
            (set_aside.first, set_aside.last, set_aside.records),
            (Position(position), Position(position), 1)
        );
        let kept = disk.contents(set_aside.kept_as.as_deref().expect("a copy")).expect("a file");
        assert!(kept == damaged, "the damaged bytes are kept whole");
        assert_eq!((recovered.last, recovered.records), (Position(RECORDS), RECORDS - 1));
        assert!(matches!(log.reader().read(Position(position)), Err(LogError::Lost { .. })));
        let found = read_from(&log.reader(), Position(1)).expect("the rest is sound");
        assert_eq!(found.len() as u64, RECORDS - 1);
        assert!(found.iter().all(|(at, bytes)| at.0 != position && *bytes == record(at.0, 60)));
        // It goes on, and the next start needs no flag.
        log.append(&batch(RECORDS + 1, 1, 60)).expect("room");
        log.wait(Position(RECORDS), Duration::ZERO).expect("a sound disk");
        let (log, recovered) = open(&disk.after_crash());
        assert!(recovered.quarantined.is_empty());
        assert_eq!(read_from(&log.reader(), Position(1)).expect("sound").len() as u64, RECORDS);
    }
}

#[test]
fn p14_quarantine_goes_on_without_a_segment_that_is_gone() {
    for index in 0..segments(&closed()).len() {
        let disk = closed();
        let name = segments(&disk).remove(index);
        disk.lose(&name);
        let (mut log, recovered) = quarantine(&disk);
        assert_eq!(recovered.quarantined.len(), 1);
        let next = log.last().next();
        log.append(&batch(next.0, 1, 60)).expect("room");
        let found = read_from(&log.reader(), Position(1)).expect("the rest is sound");
        assert!(found.iter().all(|(at, bytes)| *bytes == record(at.0, 60)));
        let (_, recovered) = open(&disk.after_kill());
        assert_eq!(recovered.last, next);
    }
}

#[test]
fn a_crash_anywhere_in_a_quarantine_leaves_a_log_that_quarantine_mends() {
    for n in 1.. {
        let disk = closed();
        let (file, offset) = offset_of(&disk, 60);
        disk.flip(&file, offset + 3, 4);
        disk.stop_at(n);
        let through = Wal::open(disk.clone(), WalOptions { quarantine: true, ..options() }).is_ok();
        let disk = disk.after_crash();
        let (log, _) = quarantine(&disk);
        let found = read_from(&log.reader(), Position(1)).expect("the rest is sound");
        assert_eq!(found.len() as u64, RECORDS - 1, "stopped at {n}");
        if through {
            break;
        }
    }
}

#[test]
fn bad_bytes_at_run_time_fail_their_range_and_nothing_else() {
    let disk = closed();
    let (log, _) = open(&disk);
    let (file, offset) = offset_of(&disk, 20);
    let before = disk.contents(&file);
    disk.flip(&file, offset, 0);
    let reader = log.reader();
    match reader.read(Position(20)) {
        Err(LogError::Corrupt { file: named, offset: at, end, first, last }) => {
            assert_eq!(named, file);
            assert!(at <= offset && offset < end && first.0 <= 20 && 20 <= last.0);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(reader.read(Position(19)).expect("before it"), record(19, 60));
    assert!(reader.read(Position(RECORDS)).is_ok());
    disk.flip(&file, offset, 0);
    assert_eq!(disk.contents(&file), before, "the range was never rewritten");
}

#[test]
fn a_frame_at_the_wrong_place_is_no_frame() {
    use driftq_log::{Disk, DiskFile};
    let disk = closed();
    // A misdirected write: the bytes of one segment land in another.
    let names = segments(&disk);
    let bytes = disk.contents(&names[0]).expect("a file");
    let file = disk.open(&names[1]).expect("a file");
    file.write_at(&bytes[64..1000], 64).expect("room");
    file.sync().expect("a sound disk");
    assert_eq!(corrupt_file(&disk), names[1]);
}

/// Spoils one random file of the log; says what it did.
fn spoil(disk: &FaultyDisk, random: &mut impl FnMut(u64) -> u64) -> String {
    let mut names = segments(disk);
    names.extend(disk.files().into_iter().filter(|name| name == "wal-manifest"));
    if names.is_empty() {
        return "nothing left to spoil".to_owned();
    }
    let name = names.swap_remove(random(names.len() as u64) as usize);
    let length = disk.contents(&name).expect("a file").len() as u64;
    let at = random(length.max(1));
    match random(8) {
        0 => format!("lose {name}: {}", disk.lose(&name)),
        1 => format!("shorten {name} to {at}: {}", disk.shorten(&name, at)),
        2 | 3 => format!("zero {name} at {at}: {}", disk.zero_sector(&name, at)),
        _ => format!("flip {name} at {at}: {}", disk.flip(&name, at, (at % 8) as u8)),
    }
}

#[test]
fn p14_whatever_is_spoiled_is_refused_or_harmless_and_quarantine_serves_only_true_records() {
    let mut refused = 0;
    for seed in 0..SPOILED {
        let mut state = seed;
        let mut random = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        let disk = if seed.is_multiple_of(2) { closed() } else { restarted(seed) };
        let mut story = format!("seed {seed}");
        let spoiled = 1 + random(3);
        for _ in 0..spoiled {
            story += &format!(", {}", spoil(&disk, &mut random));
        }
        match try_open(&disk) {
            Ok((log, _)) => {
                // The last group and every proof of it have to be spoiled together to look torn.
                let all = log.last() == Position(RECORDS);
                assert!(all || spoiled > 1, "{story}: {} are left", log.last());
                expect(&log, 1, log.last().0);
                continue;
            }
            Err(LogError::Corrupt { .. }) => refused += 1,
            Err(error) => panic!("{story}: {error}"),
        }
        let disk = disk.after_kill();
        let options = WalOptions { quarantine: true, ..options() };
        let (mut log, recovered) = match Wal::open(disk.clone(), options) {
            Ok(opened) => opened,
            Err(error) => panic!("{story}: {error}"),
        };
        assert!(!recovered.quarantined.is_empty(), "{story}");
        let found = read_from(&log.reader(), log.first()).unwrap_or_else(|error| panic!("{story}: {error}"));
        assert!(found.iter().all(|(at, bytes)| *bytes == record(at.0, 60)), "{story}");
        assert_eq!(found.len() as u64, recovered.records, "{story}");
        let next = log.last().next();
        log.append(&batch(next.0, 1, 60)).expect("room");
        log.wait(next.previous(), Duration::ZERO).expect("a sound disk");
        let (log, again) = match try_open(&disk.after_crash()) {
            Ok(opened) => opened,
            Err(error) => panic!("{story}, after the quarantine: {error}"),
        };
        assert_eq!((log.last(), again.records), (next, recovered.records + 1), "{story}");
    }
    assert!(refused > 500, "only {refused} starts were refused");
}
