//! Snapshots: a container of checked chunks beside the log.
//!
//! A snapshot is there whole or not at all: written under another name, synced, renamed, the folder synced.
//! The one before is kept until the next. Loading checks every byte first and falls back to the previous
//! one, saying so; it never deletes what it cannot read. The bytes are described in `spec/formats/snapshot.md`.

use std::io;

use crate::checksum::crc32c;
use crate::disk::{Disk, DiskFile, is_full, read_full, write_full};
use crate::{LogError, Position};

/// The format that this version writes, and the newest it reads.
const VERSION: u32 = 1;
const PREFIX: &str = "snapshot-";
const TEMPORARY: &str = "snapshot.tmp";
const MAGIC: [u8; 8] = [0xFF, b'D', b'Q', b'S', b'N', b'A', b'P', 0xFE];
const END_MAGIC: [u8; 8] = [0xFF, b'D', b'Q', b'S', b'E', b'N', b'D', 0xFE];
const HEADER_BYTES: usize = 40;
const CHUNK_HEADER_BYTES: usize = 16;
const END_BYTES: usize = 40;
/// The largest chunk.
const CHUNK_BYTES_MAX: usize = 64 << 20;
/// How much is written at a time.
const WRITE_BYTES: usize = 1 << 20;
/// How many snapshots are kept: the newest and the one before.
const SNAPSHOTS_KEPT: usize = 2;

/// A snapshot being written. Dropped without [`SnapshotWriter::commit`], it leaves nothing that counts.
#[derive(Debug)]
pub struct SnapshotWriter<D: Disk> {
    disk: D,
    file: D::File,
    number: u64,
    at: Position,
    buffer: Vec<u8>,
    written: u64,
    chunks: u64,
}

impl<D: Disk> SnapshotWriter<D> {
    /// Begins a snapshot of what the log says up to `at`.
    ///
    /// # Errors
    /// [`LogError::Full`] or [`LogError::Retry`]; the snapshots before are untouched.
    pub fn begin(disk: D, at: Position) -> Result<Self, LogError> {
        let names = disk.list().map_err(failed)?;
        let number = names.iter().filter_map(|name| number_of(name)).max().unwrap_or(0) + 1;
        if names.iter().any(|name| name == TEMPORARY) {
            disk.remove(TEMPORARY).map_err(failed)?;
        }
        let file = disk.create(TEMPORARY).map_err(failed)?;
        let mut buffer = Vec::with_capacity(WRITE_BYTES);
        buffer.extend_from_slice(&encode_header(number, at));
        Ok(Self { disk, file, number, at, buffer, written: 0, chunks: 0 })
    }

    /// The position that the snapshot stands for.
    pub fn at(&self) -> Position {
        self.at
    }

    /// Adds a chunk of at most 64 MiB; it comes back as it is.
    ///
    /// # Errors
    /// [`LogError::TooLarge`], [`LogError::Full`], [`LogError::Retry`].
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), LogError> {
        let length = u32::try_from(chunk.len()).ok().filter(|_| chunk.len() <= CHUNK_BYTES_MAX);
        let length = length.ok_or(LogError::TooLarge { bytes: chunk.len(), max: CHUNK_BYTES_MAX })?;
        let (length, number) = (length.to_le_bytes(), self.chunks.to_le_bytes());
        let crc = crc32c(&[&length, &number, chunk]);
        self.buffer.extend_from_slice(&length);
        self.buffer.extend_from_slice(&crc.to_le_bytes());
        self.buffer.extend_from_slice(&number);
        self.buffer.extend_from_slice(chunk);
        self.chunks += 1;
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Makes the snapshot durable and the newest, and removes those older than the one before it.
    ///
    /// # Errors
    /// [`LogError::Full`], [`LogError::Retry`], or [`LogError::Fatal`] when a sync failed.
    pub fn commit(mut self) -> Result<(), LogError> {
        let end = encode_end(self.number, self.at, self.chunks);
        self.buffer.extend_from_slice(&end);
        self.flush()?;
        let unsynced = |error| LogError::fatal("syncing a snapshot", &error);
        self.file.sync().map_err(unsynced)?;
        self.disk.rename(TEMPORARY, &name(self.number)).map_err(failed)?;
        self.disk.sync_folder().map_err(unsynced)?;
        self.remove_older()
    }

    fn flush(&mut self) -> Result<(), LogError> {
        write_full(&self.file, &self.buffer, self.written).map_err(failed)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Only whole snapshots make others superfluous, and only whole ones are removed.
    fn remove_older(&self) -> Result<(), LogError> {
        let mut whole = Vec::new();
        for number in numbers(&self.disk)? {
            if looks_whole(&self.disk, number).map_err(failed)? {
                whole.push(number);
            }
        }
        for number in whole.iter().rev().skip(SNAPSHOTS_KEPT) {
            self.disk.remove(&name(*number)).map_err(failed)?;
        }
        self.disk.sync_folder().map_err(|error| LogError::fatal("syncing the data folder", &error))
    }
}

/// A snapshot whose every byte has been checked.
#[derive(Debug)]
pub struct Snapshot<D: Disk> {
    file: D::File,
    file_name: String,
    /// The position that it stands for.
    pub at: Position,
    /// How many chunks it has.
    pub chunks: u64,
}

impl<D: Disk> Snapshot<D> {
    /// Hands each chunk to `each`, in the order in which they were pushed.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] when a chunk no longer holds, [`LogError::Retry`] when it could not be read.
    pub fn read(&self, each: &mut dyn FnMut(&[u8])) -> Result<(), LogError> {
        let mut chunk = Vec::new();
        let mut offset = HEADER_BYTES as u64;
        for number in 0..self.chunks {
            let step = read_chunk(&self.file, number, offset, &mut chunk).map_err(failed)?;
            offset = step.ok_or_else(|| LogError::Corrupt {
                file: self.file_name.clone(),
                offset,
                end: offset,
                first: Position(1),
                last: self.at,
            })?;
            each(&chunk);
        }
        Ok(())
    }
}

/// A snapshot that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotWarning {
    /// Its file.
    pub file: String,
    /// The first byte that does not hold.
    pub offset: u64,
}

impl std::fmt::Display for SnapshotWarning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, offset } = self;
        write!(
            f,
            "{file} is damaged at byte {offset}; the start uses an older snapshot, or none, and more of the log"
        )
    }
}

/// What loading found.
#[derive(Debug)]
pub struct LoadedSnapshot<D: Disk> {
    /// The newest snapshot that holds.
    pub snapshot: Option<Snapshot<D>>,
    /// Newer ones that do not.
    pub warnings: Vec<SnapshotWarning>,
}

/// Finds the newest snapshot whose every byte holds.
///
/// # Errors
/// [`LogError::Newer`] when the newest is of a later format, [`LogError::Retry`] when the disk cannot be read.
pub fn load_snapshot<D: Disk>(disk: &D) -> Result<LoadedSnapshot<D>, LogError> {
    let mut warnings = Vec::new();
    for number in numbers(disk)?.into_iter().rev() {
        let file_name = disk.describe(&name(number));
        let file = disk.open(&name(number)).map_err(failed)?;
        match check(&file, number).map_err(failed)? {
            Checked::Whole { at, chunks } => {
                return Ok(LoadedSnapshot {
                    snapshot: Some(Snapshot { file, file_name, at, chunks }),
                    warnings,
                });
            }
            Checked::Damaged { offset } => warnings.push(SnapshotWarning { file: file_name, offset }),
            Checked::Newer(found) => return Err(LogError::Newer { file: file_name, found, known: VERSION }),
        }
    }
    Ok(LoadedSnapshot { snapshot: None, warnings })
}

enum Checked {
    Whole { at: Position, chunks: u64 },
    Damaged { offset: u64 },
    Newer(u32),
}

fn check(file: &impl DiskFile, number: u64) -> io::Result<Checked> {
    let at = match read_header(file, number)? {
        Ok(at) => at,
        Err(Some(version)) => return Ok(Checked::Newer(version)),
        Err(None) => return Ok(Checked::Damaged { offset: 0 }),
    };
    let end = file.length()?.saturating_sub(END_BYTES as u64);
    let mut offset = HEADER_BYTES as u64;
    let mut chunks = 0;
    let mut chunk = Vec::new();
    while offset < end {
        match read_chunk(file, chunks, offset, &mut chunk)? {
            Some(next) => offset = next,
            None => return Ok(Checked::Damaged { offset }),
        }
        chunks += 1;
    }
    let mut bytes = [0; END_BYTES];
    let read = read_full(file, &mut bytes, offset)?;
    let whole = read == END_BYTES && bytes == encode_end(number, at, chunks);
    Ok(if whole { Checked::Whole { at, chunks } } else { Checked::Damaged { offset } })
}

/// Whether the start and the end fit each other: enough to decide what to keep.
fn looks_whole<D: Disk>(disk: &D, number: u64) -> io::Result<bool> {
    let file = disk.open(&name(number))?;
    let Ok(at) = read_header(&file, number)? else { return Ok(false) };
    let mut bytes = [0; END_BYTES];
    let read = read_full(&file, &mut bytes, file.length()?.saturating_sub(END_BYTES as u64))?;
    Ok(read == END_BYTES && bytes == encode_end(number, at, u64_of(&bytes, 32)))
}

/// Reads chunk `number` at `offset` and returns where the next one is; nothing when it does not hold.
fn read_chunk(
    file: &impl DiskFile,
    number: u64,
    offset: u64,
    chunk: &mut Vec<u8>,
) -> io::Result<Option<u64>> {
    let mut head = [0; CHUNK_HEADER_BYTES];
    if read_full(file, &mut head, offset)? < CHUNK_HEADER_BYTES || u64_of(&head, 8) != number {
        return Ok(None);
    }
    let length = usize::try_from(u32_of(&head, 0)).unwrap_or(usize::MAX);
    if length > CHUNK_BYTES_MAX {
        return Ok(None);
    }
    chunk.resize(length, 0);
    let start = offset + CHUNK_HEADER_BYTES as u64;
    let read = read_full(file, chunk, start)?;
    let sum = crc32c(&[&u32_of(&head, 0).to_le_bytes(), &number.to_le_bytes(), chunk]);
    Ok((read == length && sum == u32_of(&head, 4)).then_some(start + length as u64))
}

fn read_header(file: &impl DiskFile, number: u64) -> io::Result<Result<Position, Option<u32>>> {
    let mut bytes = [0; HEADER_BYTES];
    read_full(file, &mut bytes, 0)?;
    if bytes[0..8] != MAGIC || crc32c(&[&bytes[12..]]) != u32_of(&bytes, 8) {
        return Ok(Err(None));
    }
    let version = u32_of(&bytes, 12);
    if version > VERSION {
        return Ok(Err(Some(version)));
    }
    Ok(if u64_of(&bytes, 16) == number { Ok(Position(u64_of(&bytes, 24))) } else { Err(None) })
}

fn encode_header(number: u64, at: Position) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[0..8].copy_from_slice(&MAGIC);
    bytes[12..16].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&number.to_le_bytes());
    bytes[24..32].copy_from_slice(&at.0.to_le_bytes());
    let crc = crc32c(&[&bytes[12..]]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn encode_end(number: u64, at: Position, chunks: u64) -> [u8; END_BYTES] {
    let mut bytes = [0; END_BYTES];
    bytes[0..8].copy_from_slice(&END_MAGIC);
    bytes[16..24].copy_from_slice(&number.to_le_bytes());
    bytes[24..32].copy_from_slice(&at.0.to_le_bytes());
    bytes[32..40].copy_from_slice(&chunks.to_le_bytes());
    let crc = crc32c(&[&bytes[12..]]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn numbers<D: Disk>(disk: &D) -> Result<Vec<u64>, LogError> {
    let mut numbers: Vec<u64> =
        disk.list().map_err(failed)?.iter().filter_map(|name| number_of(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number:020}")
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    if digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    }
}

fn u32_of<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

fn u64_of<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

fn failed(source: io::Error) -> LogError {
    let what = "a snapshot".to_owned();
    if is_full(&source) { LogError::Full { what } } else { LogError::Retry { what, source } }
}
