//! Snapshots are there whole or not at all, and the one before is kept.

use driftq_log::{FaultyDisk, LogError, Position, SnapshotWriter, load_snapshot};

fn write(disk: &FaultyDisk, at: u64, chunks: &[&[u8]]) -> Result<(), LogError> {
    let mut writer = SnapshotWriter::begin(disk.clone(), Position(at))?;
    for chunk in chunks {
        writer.push(chunk)?;
    }
    writer.commit()
}

fn load(disk: &FaultyDisk) -> Option<(u64, Vec<Vec<u8>>)> {
    let snapshot = load_snapshot(disk).expect("a disk that reads").snapshot?;
    let mut chunks = Vec::new();
    snapshot.read(&mut |chunk| chunks.push(chunk.to_vec())).expect("checked when loaded");
    Some((snapshot.at.0, chunks))
}

fn snapshots(disk: &FaultyDisk) -> Vec<String> {
    disk.files().into_iter().filter(|name| name.starts_with("snapshot-")).collect()
}

#[test]
fn chunks_come_back_as_they_were_pushed() {
    let disk = FaultyDisk::new(1);
    assert_eq!(load(&disk), None);
    let large = vec![9; 3 << 20];
    write(&disk, 7, &[b"one", b"", &large]).expect("room");
    let loaded = load(&disk.after_crash());
    assert_eq!(loaded, Some((7, vec![b"one".to_vec(), Vec::new(), large])));
}

#[test]
fn the_newest_and_the_one_before_are_kept() {
    let disk = FaultyDisk::new(1);
    for at in 1..=5 {
        write(&disk, at, &[&[at as u8]]).expect("room");
    }
    assert_eq!(snapshots(&disk).len(), 2);
    assert_eq!(load(&disk), Some((5, vec![vec![5]])));
}

#[test]
fn every_flip_in_the_newest_is_told_and_the_one_before_is_used() {
    let disk = FaultyDisk::new(1);
    write(&disk, 1, &[b"first"]).expect("room");
    write(&disk, 2, &[b"second", b"again"]).expect("room");
    let newest = snapshots(&disk).remove(1);
    let length = disk.contents(&newest).expect("a file").len() as u64;
    for offset in 0..length {
        assert!(disk.flip(&newest, offset, (offset % 8) as u8));
        let loaded = load_snapshot(&disk).expect("a disk that reads");
        assert_eq!(loaded.warnings.len(), 1, "byte {offset}");
        assert!(loaded.warnings[0].to_string().contains(&newest));
        assert_eq!(loaded.snapshot.map(|snapshot| snapshot.at), Some(Position(1)));
        disk.flip(&newest, offset, (offset % 8) as u8);
    }
    for length in 0..length {
        let disk = FaultyDisk::new(1);
        write(&disk, 1, &[b"first"]).expect("room");
        write(&disk, 2, &[b"second", b"again"]).expect("room");
        disk.shorten(&newest, length);
        assert_eq!(load(&disk), Some((1, vec![b"first".to_vec()])));
    }
}

#[test]
fn p23_a_damaged_snapshot_is_never_removed() {
    let disk = FaultyDisk::new(1);
    write(&disk, 1, &[b"first"]).expect("room");
    let damaged = snapshots(&disk).remove(0);
    disk.flip(&damaged, 3, 1);
    for at in 2..=5 {
        write(&disk, at, &[b"next"]).expect("room");
    }
    assert!(snapshots(&disk).contains(&damaged));
    assert_eq!(snapshots(&disk).len(), 3);
}

#[test]
fn a_crash_at_every_call_leaves_the_old_or_the_new_one() {
    for seed in 0..10 {
        for n in 1.. {
            let disk = FaultyDisk::new(seed);
            for at in 1..=3 {
                write(&disk, at, &[b"old", &[at as u8; 700]]).expect("room");
            }
            disk.stop_at(n);
            let through = write(&disk, 4, &[b"new", &[4; 700]]).is_ok();
            let disk = disk.after_crash();
            let (at, chunks) = load(&disk).expect("one of them");
            assert!(at == 4 || (at == 3 && !through), "{at} after a stop at {n}");
            assert_eq!(chunks[1], vec![at as u8; 700]);
            write(&disk, 5, &[b"after"]).expect("a crash is no obstacle");
            assert_eq!(load(&disk).map(|(at, _)| at), Some(5));
            if through {
                break;
            }
        }
    }
}

#[test]
fn a_full_disk_leaves_the_snapshots_before() {
    let disk = FaultyDisk::new(1);
    write(&disk, 1, &[b"first"]).expect("room");
    disk.limit(Some(disk.used() + 100));
    assert!(matches!(write(&disk, 2, &[&[0; 4096]]), Err(LogError::Full { .. })));
    assert_eq!(load(&disk), Some((1, vec![b"first".to_vec()])));
    disk.limit(None);
    write(&disk, 2, &[b"second"]).expect("room again");
    assert_eq!(load(&disk).map(|(at, _)| at), Some(2));
}
