//! The manifest: which segments must be there.
//!
//! Two slots in one small file, written in turn and in place, so that it can be brought up to date on a full
//! disk and a torn write leaves the older slot. Without it a missing segment at either end of the log would
//! look like one that was released or never written.

use std::io;

use super::frame::{u32_at, u64_at};
use crate::checksum::crc32c;
use crate::disk::{Disk, DiskFile, read_full, write_full};
use crate::{Epoch, LogError, Position};

pub(crate) const NAME: &str = "wal-manifest";
const MAGIC: [u8; 8] = [0xFF, b'D', b'Q', b'M', b'A', b'N', b'I', 0xFE];
const VERSION: u32 = 1;
const SLOT_BYTES: usize = 64;
/// Slots lie this far apart, so that one torn write cannot reach both.
const SLOT_STEP: u64 = 4096;
const SLOTS: u64 = 2;

/// What the manifest says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Grows by one with each write; the slot of the greater one holds.
    pub(crate) generation: u64,
    /// The newest epoch that was given.
    pub(crate) epoch: Epoch,
    /// The first position that has not been released.
    pub(crate) oldest: Position,
    /// The newest segment in use; 0 while there was none.
    pub(crate) newest: u64,
    /// A position that was durable when this was written: a proof outside the segments themselves.
    pub(crate) synced_to: Position,
}

/// The manifest on disk.
#[derive(Debug)]
pub(crate) struct Manifest<F> {
    file: F,
    pub(crate) facts: Facts,
}

/// What was found of it.
#[derive(Debug)]
pub(crate) enum Found<F> {
    /// A slot holds.
    Sound(Manifest<F>),
    /// There is a file, and no slot in it holds.
    Unreadable,
    /// There is no file.
    Missing,
}

impl<F: DiskFile> Manifest<F> {
    pub(crate) fn load<D: Disk<File = F>>(disk: &D) -> Result<Found<F>, LogError> {
        let fatal = |error: io::Error| LogError::fatal(format!("reading {}", disk.describe(NAME)), &error);
        let file = match disk.open(NAME) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
            Err(error) => return Err(fatal(error)),
        };
        let mut best: Option<Facts> = None;
        for slot in 0..SLOTS {
            let mut bytes = [0; SLOT_BYTES];
            read_full(&file, &mut bytes, slot * SLOT_STEP).map_err(fatal)?;
            match decode(&bytes) {
                Ok(facts) if best.is_none_or(|best| best.generation < facts.generation) => best = Some(facts),
                Ok(_) | Err(None) => {}
                Err(Some(found)) => {
                    return Err(LogError::Newer { file: disk.describe(NAME), found, known: VERSION });
                }
            }
        }
        Ok(best.map_or(Found::Unreadable, |facts| Found::Sound(Self { file, facts })))
    }

    /// Creates it, durable, with both slots held on the disk.
    pub(crate) fn create<D: Disk<File = F>>(disk: &D, facts: Facts) -> io::Result<Self> {
        let file = match disk.create(NAME) {
            Ok(file) => file,
            // Left behind by a first start that did not get to its end; nothing else is there yet.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => disk.open(NAME)?,
            Err(error) => return Err(error),
        };
        file.allocate(SLOT_STEP * SLOTS)?;
        let mut manifest = Self { file, facts: Facts::default() };
        manifest.write(facts)?;
        disk.sync_folder()?;
        Ok(manifest)
    }

    /// Replaces what it says, durably.
    pub(crate) fn write(&mut self, facts: Facts) -> io::Result<()> {
        let facts = Facts { generation: self.facts.generation + 1, ..facts };
        write_full(&self.file, &encode(&facts), (facts.generation % SLOTS) * SLOT_STEP)?;
        self.file.sync()?;
        self.facts = facts;
        Ok(())
    }
}

fn encode(facts: &Facts) -> [u8; SLOT_BYTES] {
    let mut bytes = [0; SLOT_BYTES];
    bytes[0..8].copy_from_slice(&MAGIC);
    bytes[12..16].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&facts.generation.to_le_bytes());
    bytes[24..28].copy_from_slice(&facts.epoch.0.to_le_bytes());
    bytes[32..40].copy_from_slice(&facts.oldest.0.to_le_bytes());
    bytes[40..48].copy_from_slice(&facts.newest.to_le_bytes());
    bytes[48..56].copy_from_slice(&facts.synced_to.0.to_le_bytes());
    let crc = crc32c(&[&bytes[12..]]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The facts, or the version if that is a newer one, or nothing.
fn decode(bytes: &[u8; SLOT_BYTES]) -> Result<Facts, Option<u32>> {
    if bytes[0..8] != MAGIC || crc32c(&[&bytes[12..]]) != u32_at(bytes, 8) {
        return Err(None);
    }
    match u32_at(bytes, 12) {
        VERSION => Ok(Facts {
            generation: u64_at(bytes, 16),
            epoch: Epoch(u32_at(bytes, 24)),
            oldest: Position(u64_at(bytes, 32)),
            newest: u64_at(bytes, 40),
            synced_to: Position(u64_at(bytes, 48)),
        }),
        found => Err(Some(found)),
    }
}
