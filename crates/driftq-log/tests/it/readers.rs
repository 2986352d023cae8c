//! Readers beside a writer that appends, rotates and releases.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use driftq_log::conformance::{batch, record};
use driftq_log::{Log, LogError, LogReader, OsDisk, Position, Wal, WalOptions};

fn small() -> WalOptions {
    WalOptions { segment_bytes: 4 << 10, reserve_bytes: 4 << 10, ..WalOptions::default() }
}

#[test]
fn readers_see_only_true_records_while_the_writer_rotates_and_releases() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut log, _) = Wal::open(OsDisk::open(folder.path()).expect("free"), small()).expect("a fresh log");
    log.append(&batch(1, 1, 60)).expect("room");
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (reader, done) = (log.reader(), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut seen = 0_u64;
                let mut rounds = 0;
                while !done.load(Ordering::Acquire) || rounds == 0 {
                    rounds += 1;
                    let first = reader.first();
                    let mut expected = first;
                    let scanned = reader.scan(first, &mut |at, bytes| {
                        assert_eq!((at, bytes), (expected, record(at.0, 60).as_slice()));
                        expected = at.next();
                        seen += 1;
                        ControlFlow::Continue(())
                    });
                    match scanned {
                        // Released under the reader's feet: said so, and never a wrong record.
                        Ok(()) | Err(LogError::Trimmed { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                seen
            })
        })
        .collect();
    for next in 2..=2000 {
        log.append(&batch(next, 1, 60)).expect("room");
        if next % 100 == 0 {
            log.wait(log.durable(), Duration::ZERO).expect("a sound disk");
            log.release(Position(next / 2)).expect("a sound disk");
        }
    }
    done.store(true, Ordering::Release);
    for reader in readers {
        assert!(reader.join().expect("no wrong record") > 0);
    }
}

#[test]
fn reading_many_segments_keeps_few_files_open() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut log, _) = Wal::open(OsDisk::open(folder.path()).expect("free"), small()).expect("a fresh log");
    for next in 1..=4000 {
        log.append(&batch(next, 1, 60)).expect("room");
    }
    assert!(std::fs::read_dir(folder.path()).expect("a folder").count() > 100);
    let open_before = open_files();
    let reader = log.reader();
    for at in (1..=4000).step_by(7) {
        assert_eq!(reader.read(Position(at)).expect("a record that is there"), record(at, 60));
    }
    let open_after = open_files();
    assert!(open_after <= open_before + 64, "{open_before} files were open, then {open_after}");
}

/// How many files this process has open; where the system does not say, none.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
