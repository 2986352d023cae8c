//! What the operating system says of this process and its disk.
//!
//! Promise: a figure that the system does not tell is left out, never guessed. Nothing here is on a request's way but
//! that of `/v1/stats`.

use std::path::Path;

/// What the start of a segment's file name is.
const SEGMENT_PREFIX: &str = "wal-";
/// How many digits follow it.
const SEGMENT_DIGITS: usize = 20;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct System {
    /// Segments in the data folder.
    pub(crate) segments: Option<u64>,
    /// Bytes that a process without privileges may still write to its disk.
    pub(crate) disk_free_bytes: Option<u64>,
    /// Bytes of memory that the process holds.
    pub(crate) memory_bytes: Option<u64>,
}

/// Looks, with the data folder if there is one. May block.
pub(crate) fn look(folder: Option<&Path>) -> System {
    System {
        segments: folder.and_then(segments),
        disk_free_bytes: folder.and_then(disk_free),
        memory_bytes: memory(),
    }
}

fn segments(folder: &Path) -> Option<u64> {
    let names =
        std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_segment = |name: &String| {
        name.strip_prefix(SEGMENT_PREFIX).is_some_and(|rest| {
            rest.len() == SEGMENT_DIGITS && rest.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    Some(names.filter(is_segment).count() as u64)
}

fn disk_free(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

/// Linux tells it in `/proc`; elsewhere it is left out.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}
