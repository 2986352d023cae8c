//! The data folder itself: its lock, its format version, and moving it out of the way.
//!
//! A folder that is locked, newer, no folder or not writable is refused before a byte in it changes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::LogError;

/// The format of a folder that this version writes.
pub(crate) const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "FORMAT";
const FORMAT_NEW_FILE: &str = "FORMAT.tmp";
const FORMAT_WORD: &str = "driftq";
const LOCK_FILE: &str = "LOCK";
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Moves the data folder aside to `<folder>.bak.<unix_seconds>` and returns that name; nothing is deleted.
///
/// # Errors
/// [`LogError::Locked`] while a process uses it, [`LogError::Unusable`] when it cannot be moved or the new
/// name is taken.
pub fn reset(path: impl AsRef<Path>, unix_seconds: u64) -> Result<PathBuf, LogError> {
    let path = path.as_ref();
    let refuse = |reason: String| LogError::Unusable { folder: path.to_owned(), reason };
    if !path.is_dir() {
        return Err(refuse("it is not there, so there is nothing to move aside".to_owned()));
    }
    let lock = take_lock(path)?;
    let mut name = path.file_name().map(std::ffi::OsStr::to_os_string).unwrap_or_default();
    if name.is_empty() {
        return Err(refuse("it has no name of its own; give its full path".to_owned()));
    }
    name.push(format!(".bak.{unix_seconds}"));
    let aside = path.with_file_name(name);
    if aside.exists() {
        return Err(refuse(format!("{} exists already; move that away first", aside.display())));
    }
    fs::rename(path, &aside).map_err(|error| {
        refuse(format!("it could not be renamed to {} ({error}); rename it by hand", aside.display()))
    })?;
    drop(lock);
    Ok(aside)
}

/// Checks, creates and locks the folder; the returned file holds the lock.
pub(crate) fn prepare(path: &Path) -> Result<File, LogError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            let reason = "it is a file; choose a folder".to_owned();
            return Err(LogError::Unusable { folder: path.to_owned(), reason });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path).map_err(|error| unusable(path, &error))?;
        }
        Err(error) => return Err(unusable(path, &error)),
    }
    // First without a lock, because taking it may create a file.
    check_format(path)?;
    let lock = take_lock(path)?;
    if !check_format(path)? {
        write_format(path).map_err(|error| unusable(path, &error))?;
    }
    Ok(lock)
}

/// The refusal that carries what the system said.
pub(crate) fn unusable(path: &Path, error: &io::Error) -> LogError {
    let way_out = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; give this user the right to write there, or choose another folder"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free space on that disk",
        _ => "; choose another folder",
    };
    LogError::Unusable { folder: path.to_owned(), reason: format!("{error}{way_out}") }
}

fn take_lock(path: &Path) -> Result<File, LogError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path.join(LOCK_FILE))
        .map_err(|error| unusable(path, &error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(LogError::Locked { folder: path.to_owned() }),
        Err(error) => Err(unusable(path, &error.into())),
    }
}

/// Whether the folder says its format; an error if that is not one of ours.
fn check_format(path: &Path) -> Result<bool, LogError> {
    let text = match fs::read_to_string(path.join(FORMAT_FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unusable(path, &error)),
    };
    let found = text.strip_prefix(FORMAT_WORD).and_then(|rest| rest.trim().parse::<u32>().ok());
    match found {
        Some(FORMAT) => Ok(true),
        Some(found) if found > FORMAT => {
            Err(LogError::Newer { file: path.join(FORMAT_FILE).display().to_string(), found, known: FORMAT })
        }
        Some(_) | None => Err(LogError::Unusable {
            folder: path.to_owned(),
            reason: format!("its {FORMAT_FILE} file says something else than a format of this program"),
        }),
    }
}

fn write_format(path: &Path) -> io::Result<()> {
    let new = path.join(FORMAT_NEW_FILE);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&new)?;
    writeln!(file, "{FORMAT_WORD} {FORMAT}")?;
    file.sync_all()?;
    fs::rename(&new, path.join(FORMAT_FILE))?;
    File::open(path)?.sync_all()
}

/// Creates the folder and what is missing above it, each level durable in the one above.
fn create(path: &Path) -> io::Result<()> {
    let new: Vec<&Path> = path.ancestors().take_while(|level| !is_there(level)).collect();
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)?;
    for level in new {
        let above = level.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

fn is_there(level: &Path) -> bool {
    level.as_os_str().is_empty() || level.exists()
}
