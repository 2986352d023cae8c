//! The seam between the log and a disk: one flat folder of files.
//!
//! Everything durable goes through here, so that a test can put a disk underneath that loses, tears and
//! refuses. No call is remembered by the seam: what survives a power cut is what `sync` and `sync_folder` cover.

#[cfg(feature = "testing")]
pub(crate) mod faulty;
pub(crate) mod os;

use std::fmt::Debug;
use std::io;

/// A folder of files; clones name the same folder.
pub trait Disk: Clone + Debug + Send + Sync + 'static {
    /// An open file; clones are the same file.
    type File: DiskFile;

    /// What the folder is called in error messages.
    fn describe(&self, name: &str) -> String;

    /// Creates a file that must not exist yet, open for reading and writing.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// The names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Renames a file; one that has the new name already is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; open handles of it stay readable.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every earlier create, rename and remove durable.
    fn sync_folder(&self) -> io::Result<()>;
}

/// An open file of a [`Disk`].
pub trait DiskFile: Clone + Debug + Send + Sync + 'static {
    /// Reads at most `buffer.len()` bytes from `offset`; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at most `bytes.len()` bytes at `offset`, and returns how many.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes the file `length` bytes long with its blocks held; new bytes read as zeros.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// Cuts the file to `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Makes the content and the length durable.
    fn sync(&self) -> io::Result<()>;

    /// How long the file is.
    fn length(&self) -> io::Result<u64>;
}

/// Fills `buffer` from `offset` as far as the file reaches, over short reads and interrupts.
pub(crate) fn read_full(file: &impl DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes all of `bytes`, over short writes and interrupts. What is left after an error is tried once more;
/// a second error is the answer.
pub(crate) fn write_full(file: &impl DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    let mut second = false;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match file.write_at(rest, offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => done += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if second || is_full(&error) => return Err(error),
            Err(_) => second = true,
        }
    }
    Ok(())
}

/// Whether the error says that there is no room: a full disk, a quota, a file limit.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
