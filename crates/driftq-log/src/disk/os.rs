//! The operating system's disk: one folder, locked for life.
//!
//! The only place on the data path that touches the file system. A disk, a log or a reader that is still
//! held keeps the folder locked.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};

use super::{Disk, DiskFile};
use crate::{LogError, folder};

/// The mode of every file: only its owner may read it.
const FILE_MODE: u32 = 0o600;
/// What is written at a time where the file system cannot hold blocks in advance.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A folder on the operating system's disk.
#[derive(Clone, Debug)]
pub struct OsDisk {
    folder: Arc<LockedFolder>,
}

#[derive(Debug)]
struct LockedFolder {
    path: PathBuf,
    /// Open for `sync_folder`.
    handle: File,
    /// Held for its lock.
    _lock: File,
}

impl OsDisk {
    /// Opens a data folder, creating it (0700) if need be, and locks it until the last clone is dropped.
    ///
    /// # Errors
    /// [`LogError::Locked`], [`LogError::Newer`], or [`LogError::Unusable`] when it is no folder or cannot
    /// be written; nothing was changed then.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LogError> {
        let path = path.as_ref();
        let lock = folder::prepare(path)?;
        let handle = File::open(path).map_err(|error| folder::unusable(path, &error))?;
        Ok(Self { folder: Arc::new(LockedFolder { path: path.to_owned(), handle, _lock: lock }) })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder.path
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path.join(name)
    }
}

impl Disk for OsDisk {
    type File = OsFile;

    fn describe(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    fn create(&self, name: &str) -> io::Result<OsFile> {
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(self.at(name))?;
        Ok(OsFile(Arc::new(file)))
    }

    fn open(&self, name: &str) -> io::Result<OsFile> {
        let file = OpenOptions::new().read(true).write(true).open(self.at(name))?;
        Ok(OsFile(Arc::new(file)))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder.path)? {
            // A name that is no text is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.at(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.folder.handle.sync_all()
    }
}

/// An open file on the operating system's disk.
#[derive(Clone, Debug)]
pub struct OsFile(Arc<File>);

impl DiskFile for OsFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        loop {
            match fallocate(&*self.0, FallocateFlags::empty(), 0, length) {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => break,
                Err(error) => return Err(error.into()),
            }
        }
        // No way to hold blocks in advance here (a network share, say): write the zeros.
        let mut at = self.length()?;
        while at < length {
            let step = usize::try_from(length - at).unwrap_or(usize::MAX).min(ZEROS.len());
            super::write_full(self, ZEROS.get(..step).unwrap_or(&ZEROS), at)?;
            at += step as u64;
        }
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
