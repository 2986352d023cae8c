//! Room in advance: empty, preallocated files that become segments.
//!
//! The last of them are the reserve, which only settling may use. A spare never held a byte of a record. Its
//! handle stays open, so that a process out of file descriptors can still rotate.

use std::io;

use crate::disk::{Disk, DiskFile, is_full};

const PREFIX: &str = "spare-";

/// The spare files of a log.
#[derive(Debug)]
pub(crate) struct Spares<F> {
    files: Vec<(String, F)>,
    next_number: u64,
    /// How large each of them is.
    pub(crate) file_bytes: u64,
    /// How many of them are the reserve.
    pub(crate) reserve: usize,
}

/// Whether a request for room was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Supply {
    /// There are as many as wanted.
    Enough,
    /// The disk is full.
    Full,
}

impl<F: DiskFile> Spares<F> {
    /// Takes stock of what an earlier run left; files of another size are removed.
    pub(crate) fn take_stock<D: Disk<File = F>>(
        disk: &D,
        names: &[String],
        file_bytes: u64,
        reserve: usize,
    ) -> io::Result<Self> {
        let mut spares = Self { files: Vec::new(), next_number: 1, file_bytes, reserve };
        for name in names {
            let Some(number) = name.strip_prefix(PREFIX).and_then(|rest| rest.parse::<u64>().ok()) else {
                continue;
            };
            spares.next_number = spares.next_number.max(number.saturating_add(1));
            let file = disk.open(name)?;
            if file.length()? == file_bytes && renew(&file, file_bytes)? {
                spares.files.push((name.clone(), file));
            } else {
                disk.remove(name)?;
            }
        }
        Ok(spares)
    }

    pub(crate) fn count(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.files.len() as u64 * self.file_bytes
    }

    /// Tries to have `wanted` spares, counting the reserve.
    pub(crate) fn fill<D: Disk<File = F>>(&mut self, disk: &D, wanted: usize) -> io::Result<Supply> {
        while self.files.len() < wanted {
            match self.create(disk) {
                Ok(spare) => self.files.push(spare),
                Err(error) if is_full(&error) => return Ok(Supply::Full),
                Err(error) => return Err(error),
            }
        }
        Ok(Supply::Enough)
    }

    /// Turns a spare into the file `name`, durably; `None` when there is none left.
    pub(crate) fn take<D: Disk<File = F>>(&mut self, disk: &D, name: &str) -> io::Result<Option<F>> {
        let Some((spare, file)) = self.files.pop() else { return Ok(None) };
        disk.rename(&spare, name)?;
        disk.sync_folder()?;
        Ok(Some(file))
    }

    fn create<D: Disk<File = F>>(&mut self, disk: &D) -> io::Result<(String, F)> {
        let name = format!("{PREFIX}{}", self.next_number);
        let file = disk.create(&name)?;
        self.next_number += 1;
        let held = file.allocate(self.file_bytes).and_then(|()| {
            // The length must be durable before a record relies on it.
            file.sync()?;
            disk.sync_folder()
        });
        match held {
            Ok(()) => Ok((name, file)),
            Err(error) => {
                // Half a spare only takes space away; the next start would remove it too.
                let _ = disk.remove(&name);
                Err(error)
            }
        }
    }
}

/// Makes the length of a spare durable once more; `false` when the disk is full.
///
/// It may be known to the page cache alone, and be clean there after a sync that failed: a sync by itself would not
/// bring it to the disk. A change of the length does.
fn renew<F: DiskFile>(file: &F, file_bytes: u64) -> io::Result<bool> {
    file.truncate(file_bytes.saturating_sub(1))?;
    match file.allocate(file_bytes) {
        Ok(()) => file.sync().map(|()| true),
        Err(error) if is_full(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(all(test, feature = "testing"))]
#[expect(clippy::unwrap_used, reason = "a story that cannot go on fails where it stands")]
mod tests {
    use super::*;
    use crate::{Fault, FaultyDisk, Operation};

    const FILE_BYTES: u64 = 4_096;

    fn stock(disk: &FaultyDisk) -> io::Result<Spares<<FaultyDisk as Disk>::File>> {
        Spares::take_stock(disk, &disk.list().unwrap(), FILE_BYTES, 1)
    }

    #[test]
    fn p13_a_length_that_a_failed_sync_lost_is_made_durable_again() {
        for seed in 1..=20 {
            let disk = FaultyDisk::new(seed);
            let mut spares = stock(&disk).unwrap();
            // The process ends between holding the room and syncing it: listing was the first call.
            disk.stop_at(3);
            spares.fill(&disk, 1).unwrap_err();
            let disk = disk.after_kill();
            disk.sync_folder().unwrap();
            // The next start's sync fails, and the kernel takes the length for clean from then on.
            disk.plan(Operation::Sync, 1, Fault::Error);
            stock(&disk).unwrap_err();
            let disk = disk.after_kill();
            assert_eq!(stock(&disk).unwrap().count(), 1, "the page cache knows its length");
            let disk = disk.after_crash();
            let name = disk.list().unwrap().pop().unwrap();
            assert_eq!(disk.open(&name).unwrap().length().unwrap(), FILE_BYTES, "seed {seed}");
        }
    }
}
