//! Every log keeps the same contract.

use driftq_log::conformance::check_all;
use driftq_log::{FaultyDisk, MemoryLog, MemoryStore, OsDisk, Wal, WalOptions};

use crate::util;

#[test]
fn the_log_in_memory_keeps_the_contract() {
    check_all(|| {
        let store = MemoryStore::new();
        move || MemoryLog::open(&store)
    });
}

#[test]
fn opening_a_memory_store_again_fences_the_writer_before() {
    use driftq_log::{Log, LogError};
    let store = MemoryStore::new();
    let mut before = MemoryLog::open(&store);
    let _after = MemoryLog::open(&store);
    assert!(matches!(before.append(&util::one(b"late")), Err(LogError::Fenced)));
}

#[test]
fn the_wal_keeps_the_contract_on_a_faulty_disk_without_faults() {
    check_all(|| {
        let disk = FaultyDisk::new(1);
        move || util::open(&disk).0
    });
}

#[test]
fn the_wal_keeps_the_contract_on_a_disk_that_stutters() {
    check_all(|| {
        let disk = FaultyDisk::new(2);
        move || {
            disk.stutter(4);
            util::open(&disk).0
        }
    });
}

#[test]
fn the_wal_keeps_the_contract_on_the_systems_disk() {
    for segment_bytes in [4 << 10, 1 << 20] {
        let mut folders = Vec::new();
        check_all(|| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let path = folder.path().join("data");
            folders.push(folder);
            move || {
                let options =
                    WalOptions { segment_bytes, reserve_bytes: segment_bytes, ..WalOptions::default() };
                Wal::open(OsDisk::open(&path).expect("a free folder"), options).expect("a sound log").0
            }
        });
    }
}
