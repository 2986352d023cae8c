//! The bare append: what one write and one `fdatasync` cost in this folder.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, Instant},
};

use rustix::fs::{FallocateFlags, fallocate};

use crate::{BenchError, stats::Samples};

/// As much as a produce of 512 bytes appends: the value, its record and its frame.
const APPEND_BYTES: usize = 640;
const FILE_BYTES: u64 = 64 << 20;

/// Appends to a preallocated file, each append synced, for `time`.
pub(super) fn measure(folder: &Path, time: Duration) -> Result<Samples, BenchError> {
    let path = folder.join("bare-append");
    let failed = || BenchError::io(format!("appending to {}", path.display()));
    let file = File::create(&path).map_err(failed())?;
    fallocate(&file, FallocateFlags::empty(), 0, FILE_BYTES).map_err(|error| failed()(error.into()))?;
    file.sync_all().map_err(failed())?;
    let bytes = [b'v'; APPEND_BYTES];
    let mut samples = Samples::default();
    let (began, mut at) = (Instant::now(), 0);
    while began.elapsed() < time && at + (APPEND_BYTES as u64) < FILE_BYTES {
        let before = Instant::now();
        file.write_all_at(&bytes, at).map_err(failed())?;
        file.sync_data().map_err(failed())?;
        samples.add(before.elapsed());
        at += APPEND_BYTES as u64;
    }
    fs::remove_file(&path).map_err(failed())?;
    Ok(samples)
}
