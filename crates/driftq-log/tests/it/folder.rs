//! The data folder on the system's disk: locked, versioned, and refused with a sentence.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use driftq_log::conformance::{batch, read_from};
use driftq_log::{Log, LogError, OsDisk, Position, Wal, WalOptions, reset};

fn small() -> WalOptions {
    WalOptions { segment_bytes: 64 << 10, reserve_bytes: 64 << 10, ..WalOptions::default() }
}

#[test]
fn p22_a_second_opening_of_a_folder_is_refused_while_the_first_lives() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("data");
    let disk = OsDisk::open(&path).expect("a free folder");
    let refused = OsDisk::open(&path).expect_err("it is locked");
    assert!(matches!(refused, LogError::Locked { .. }));
    assert!(refused.to_string().contains("stop that one"), "{refused}");
    let (log, _) = Wal::open(disk, small()).expect("a fresh log");
    let reader = log.reader();
    drop(log);
    assert!(OsDisk::open(&path).is_err(), "a reader holds the folder too");
    drop(reader);
    OsDisk::open(&path).expect("free again");
}

#[test]
fn p21_a_newer_folder_is_refused_before_a_byte_is_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("FORMAT"), "driftq 2\n").expect("room");
    let refused = OsDisk::open(folder.path()).expect_err("it is newer");
    assert!(matches!(refused, LogError::Newer { found: 2, known: 1, .. }), "{refused:?}");
    let names: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(names.len(), 1, "nothing was written");
}

#[test]
fn a_folder_that_is_a_file_or_says_something_else_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    fs::write(&file, "text").expect("room");
    assert!(matches!(OsDisk::open(&file), Err(LogError::Unusable { .. })));
    assert_eq!(fs::read_to_string(&file).expect("a file"), "text");
    fs::write(folder.path().join("FORMAT"), "another program").expect("room");
    assert!(matches!(OsDisk::open(folder.path()), Err(LogError::Unusable { .. })));
}

#[test]
fn a_folder_below_a_file_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    fs::write(&file, "text").expect("room");
    let refused = OsDisk::open(file.join("data")).expect_err("no folder can be there");
    assert!(matches!(refused, LogError::Unusable { .. }), "{refused:?}");
}

#[test]
fn a_new_folder_belongs_to_its_owner_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a/b/data");
    let _disk = OsDisk::open(&path).expect("a free folder");
    let mode = fs::metadata(&path).expect("a folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    for entry in fs::read_dir(&path).expect("a folder") {
        let mode = entry.expect("an entry").metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}

#[test]
fn p23_a_reset_moves_the_folder_aside_with_everything_in_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("data");
    let (mut log, _) = Wal::open(OsDisk::open(&path).expect("free"), small()).expect("a fresh log");
    log.append(&batch(1, 3, 60)).expect("room");
    log.wait(Position(0), Duration::ZERO).expect("a sound disk");
    assert!(matches!(reset(&path, 7), Err(LogError::Locked { .. })), "not under a running log");
    log.close().expect("a sound disk");

    let aside = reset(&path, 1_700_000_000).expect("a free name");
    assert_eq!(aside, folder.path().join("data.bak.1700000000"));
    assert!(!path.exists());
    let (log, _) = Wal::open(OsDisk::open(&aside).expect("free"), small()).expect("the old log");
    assert_eq!(read_from(&log.reader(), Position(1)).expect("sound").len(), 3);
    let (log, _) = Wal::open(OsDisk::open(&path).expect("free"), small()).expect("a fresh log");
    assert_eq!(log.last(), Position(0));
    drop(log);
    let taken = reset(&path, 1_700_000_000).expect_err("the name is taken");
    assert!(path.exists() && matches!(taken, LogError::Unusable { .. }));
    assert!(matches!(reset(folder.path().join("none"), 1), Err(LogError::Unusable { .. })));
}
