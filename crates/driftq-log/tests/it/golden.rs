//! Golden bytes: what is on disk stays readable, and is written the same way for ever.
//!
//! `DRIFTQ_GOLDEN=write` writes files that are missing; one that is there is never changed, since a change
//! of the format is a new version with new files.

use std::path::PathBuf;

use driftq_log::conformance::{batch, record};
use driftq_log::{
    Disk, DiskFile, FaultyDisk, Log, LogError, LogReader, Position, SnapshotWriter, load_snapshot,
};

use crate::util::{expect, open, try_open};

/// The files of the story below, as the log names them, and their golden copies.
const WAL_FILES: [(&str, &str); 3] = [
    ("wal-manifest", "wal-v1-manifest.bin"),
    ("wal-00000000000000000001", "wal-v1-sealed-segment.bin"),
    ("wal-00000000000000000002", "wal-v1-closed-segment.bin"),
];
const SNAPSHOT_FILE: (&str, &str) = ("snapshot-00000000000000000001", "snapshot-v1.bin");
const RECORDS: u64 = 40;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/formats").join(name)
}

fn check(name: &str, bytes: &[u8]) {
    let path = golden(name);
    if !path.exists() && std::env::var("DRIFTQ_GOLDEN").is_ok_and(|wish| wish == "write") {
        std::fs::write(&path, bytes).expect("room for a golden file");
    }
    let kept = std::fs::read(&path).expect("a golden file; DRIFTQ_GOLDEN=write writes a missing one");
    assert!(kept == bytes, "{name} is written differently now");
}

/// A disk that holds golden copies under the names that the log gives them.
fn disk_of(files: &[(&str, &str)]) -> FaultyDisk {
    let disk = FaultyDisk::new(1);
    for (name, copy) in files {
        let file = disk.create(name).expect("a free name");
        file.write_at(&std::fs::read(golden(copy)).expect("a golden file"), 0).expect("room");
        file.sync().expect("a sound disk");
    }
    disk.sync_folder().expect("a sound disk");
    disk
}

#[test]
fn the_wal_is_written_as_ever() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = open(&disk);
    for position in (1..=RECORDS).step_by(2) {
        log.append(&batch(position, 2, 60)).expect("room");
        if position % 9 == 0 {
            log.mark().expect("a sound disk");
        }
    }
    log.close().expect("a sound disk");
    for (name, copy) in WAL_FILES {
        check(copy, &disk.contents(name).expect("a file of the log"));
    }
}

#[test]
fn p21_a_wal_of_version_1_is_read() {
    let (mut log, recovered) = open(&disk_of(&WAL_FILES));
    assert!(recovered.clean);
    assert_eq!((recovered.epoch.0, recovered.last), (2, Position(RECORDS)));
    expect(&log, 1, RECORDS);
    log.append(&batch(RECORDS + 1, 1, 60)).expect("room");
    assert_eq!(log.reader().read(Position(RECORDS + 1)).expect("it is there"), record(RECORDS + 1, 60));
}

#[test]
fn a_snapshot_is_written_and_read_as_ever() {
    let disk = FaultyDisk::new(1);
    let mut writer = SnapshotWriter::begin(disk.clone(), Position(77)).expect("room");
    for chunk in [&b"topics"[..], b"", &[0xFF; 100]] {
        writer.push(chunk).expect("room");
    }
    writer.commit().expect("a sound disk");
    check(SNAPSHOT_FILE.1, &disk.contents(SNAPSHOT_FILE.0).expect("the snapshot"));
    let loaded = load_snapshot(&disk_of(&[SNAPSHOT_FILE])).expect("a disk that reads");
    let snapshot = loaded.snapshot.expect("a sound snapshot");
    assert_eq!((snapshot.at, snapshot.chunks, loaded.warnings.len()), (Position(77), 3, 0));
}

/// A golden file with another version in it, and its checksum made right again.
fn newer(copy: &str, version_at: usize, crc_at: usize, covered: std::ops::Range<usize>) -> Vec<u8> {
    let mut bytes = std::fs::read(golden(copy)).expect("a golden file");
    bytes[version_at] = 2;
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[covered]) as u32;
    bytes[crc_at..crc_at + 4].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn overwrite(disk: &FaultyDisk, name: &str, bytes: &[u8]) {
    let file = disk.open(name).expect("a file");
    file.write_at(bytes, 0).expect("room");
    file.sync().expect("a sound disk");
}

#[test]
fn p21_a_newer_format_stops_the_start_before_a_byte_is_written() {
    let newer_files = [
        (WAL_FILES[1].0, newer(WAL_FILES[1].1, 12, 8, 12..64)),
        (WAL_FILES[2].0, newer(WAL_FILES[2].1, 12, 8, 12..64)),
        (WAL_FILES[0].0, newer(WAL_FILES[0].1, 12, 8, 12..64)),
        (WAL_FILES[0].0, newer(WAL_FILES[0].1, 4096 + 12, 4096 + 8, 4096 + 12..4096 + 64)),
    ];
    for (name, bytes) in newer_files {
        let disk = disk_of(&WAL_FILES);
        overwrite(&disk, name, &bytes);
        let before: Vec<_> = disk.files().into_iter().map(|name| (disk.contents(&name), name)).collect();
        match try_open(&disk) {
            Err(LogError::Newer { file, found: 2, known: 1 }) => assert_eq!(file, name),
            other => panic!("{name}: {other:?}"),
        }
        let after: Vec<_> = disk.files().into_iter().map(|name| (disk.contents(&name), name)).collect();
        assert!(before == after);
    }
    let disk = disk_of(&[SNAPSHOT_FILE]);
    overwrite(&disk, SNAPSHOT_FILE.0, &newer(SNAPSHOT_FILE.1, 12, 8, 12..40));
    assert!(matches!(load_snapshot(&disk), Err(LogError::Newer { found: 2, known: 1, .. })));
}
