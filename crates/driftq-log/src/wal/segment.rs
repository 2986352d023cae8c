//! A segment: one file of frames, all of one epoch.
//!
//! Its header is written only after everything in the segment before it was synced, or in the very sync
//! that makes a recovery's copies durable; so a valid header proves every position below its first. The
//! header of a new epoch is the barrier that voids what older segments hold from there on.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::frame::{HEADER_BYTES, Header, Kind, Place, frame_bytes, push_frame, u32_at, u64_at};
use crate::checksum::crc32c;
use crate::disk::{Disk, DiskFile, read_full};
use crate::{Epoch, LogError, Position};

/// The bytes before the first frame.
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 64;
/// The format of segments that this version writes, and the newest it reads.
pub(crate) const SEGMENT_VERSION: u32 = 1;
/// The bytes of the pointer to the seal, at the very end of a sealed file.
const TRAILER_BYTES: usize = 32;
/// One index entry for at least so many bytes of frames.
const INDEX_STEP: u64 = 64 << 10;
const INDEX_ENTRY_BYTES: u64 = 16;
const SEAL_FACTS_BYTES: u64 = 16;

const MAGIC: [u8; 8] = [0xFF, b'D', b'Q', b'S', b'E', b'G', 0, 0xFE];
const TRAILER_MAGIC: [u8; 8] = [0xFF, b'D', b'Q', b'E', b'N', b'D', 0, 0xFE];
const PREFIX: &str = "wal-";
const TEMPORARY_SUFFIX: &str = ".tmp";

/// The name of a segment's file.
pub(crate) fn name(number: u64) -> String {
    format!("{PREFIX}{number:020}")
}

/// The name under which a segment is written before it takes its place.
pub(crate) fn temporary_name(number: u64) -> String {
    format!("{PREFIX}{number:020}{TEMPORARY_SUFFIX}")
}

/// The number in a segment's name.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    if digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    }
}

/// Whether the file is a segment that never took its place.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.strip_suffix(TEMPORARY_SUFFIX).is_some_and(|rest| number_of(rest).is_some())
}

/// The bytes at the end of a file that records never use: a closing mark, the seal, the trailer.
pub(crate) fn slack_bytes(file_bytes: u64) -> u64 {
    let entries = file_bytes / INDEX_STEP + 1;
    frame_bytes(0) + frame_bytes(SEAL_FACTS_BYTES + entries * INDEX_ENTRY_BYTES) + TRAILER_BYTES as u64
}

/// What a segment says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) number: u64,
    pub(crate) epoch: Epoch,
    /// The position of its first record.
    pub(crate) first: Position,
    /// How long the file is; a shorter one was cut.
    pub(crate) file_bytes: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES as usize] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[12..16].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.epoch.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.file_bytes.to_le_bytes());
        let crc = crc32c(&[&bytes[12..]]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header, or the version if that is a newer one, or nothing.
    pub(crate) fn decode(bytes: &[u8], number: u64) -> Result<Self, Option<u32>> {
        let bytes = bytes.first_chunk::<{ SEGMENT_HEADER_BYTES as usize }>().ok_or(None)?;
        if bytes[0..8] != MAGIC || crc32c(&[&bytes[12..]]) != u32_at(bytes, 8) {
            return Err(None);
        }
        let version = u32_at(bytes, 12);
        if version > SEGMENT_VERSION {
            return Err(Some(version));
        }
        let header = Self {
            number: u64_at(bytes, 16),
            epoch: Epoch(u32_at(bytes, 24)),
            first: Position(u64_at(bytes, 32)),
            file_bytes: u64_at(bytes, 40),
        };
        // A file that carries another one's number is in the wrong place.
        if header.number == number && header.first.0 > 0 { Ok(header) } else { Err(None) }
    }
}

/// Where in a segment a position is to be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) first: Position,
    pub(crate) offset: u64,
}

/// How far a segment reaches, and the sparse way into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The last position in it; the one before its first when it is empty.
    pub(crate) last: Position,
    /// The byte after its last frame.
    pub(crate) end: u64,
    /// How many frames hold its records.
    pub(crate) frames: u64,
    pub(crate) index: Vec<Entry>,
}

impl Extent {
    /// A segment without a frame.
    pub(crate) fn empty(first: Position) -> Self {
        let index = vec![Entry { first, offset: SEGMENT_HEADER_BYTES }];
        Self { last: first.previous(), end: SEGMENT_HEADER_BYTES, frames: 0, index }
    }

    /// Takes in the frame that was written at `offset`.
    pub(crate) fn add(&mut self, header: &Header, offset: u64) {
        let far = self.index.last().is_none_or(|entry| offset - entry.offset >= INDEX_STEP);
        if header.records > 0 {
            if far {
                self.index.push(Entry { first: header.first, offset });
            }
            self.last = header.last();
            self.frames += 1;
        }
        self.end = offset + header.frame_bytes();
    }

    /// Where to start looking for `at`, and what follows the part that holds it.
    pub(crate) fn around(&self, at: Position) -> (Entry, Entry) {
        let after = self.index.partition_point(|entry| entry.first <= at);
        let start = after.checked_sub(1).and_then(|before| self.index.get(before)).copied();
        let start = start.unwrap_or(Entry { first: at, offset: SEGMENT_HEADER_BYTES });
        let end = Entry { first: self.last.next(), offset: self.end };
        (start, self.index.get(after).copied().unwrap_or(end))
    }
}

/// A segment in use, shared by the writer and the readers.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) epoch: Epoch,
    pub(crate) first: Position,
    pub(crate) file_bytes: u64,
    extent: RwLock<Extent>,
}

impl Segment {
    pub(crate) fn new(header: &SegmentHeader, file_bytes: u64, extent: Extent) -> Self {
        let SegmentHeader { number, epoch, first, file_bytes: _ } = *header;
        Self { number, epoch, first, file_bytes, extent: RwLock::new(extent) }
    }

    pub(crate) fn extent(&self) -> RwLockReadGuard<'_, Extent> {
        self.extent.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, header: &Header, offset: u64) {
        self.extent.write().unwrap_or_else(PoisonError::into_inner).add(header, offset);
    }
}

/// The seal of a segment that ends at `extent`, and the trailer that points to it.
pub(crate) fn encode_seal(
    extent: &Extent,
    epoch: Epoch,
    synced_to: Position,
    number: u64,
) -> (Vec<u8>, [u8; TRAILER_BYTES]) {
    let mut payload = Vec::new();
    payload.extend_from_slice(&extent.last.0.to_le_bytes());
    payload.extend_from_slice(&extent.frames.to_le_bytes());
    for entry in &extent.index {
        payload.extend_from_slice(&entry.first.0.to_le_bytes());
        payload.extend_from_slice(&entry.offset.to_le_bytes());
    }
    let place = Place { segment: number, offset: extent.end };
    let header = Header::new(Kind::Seal, epoch, extent.last.next(), synced_to).over(&payload, 0);
    let mut seal = Vec::new();
    push_frame(&mut seal, &header, &payload, place);

    let mut trailer = [0; TRAILER_BYTES];
    trailer[0..8].copy_from_slice(&TRAILER_MAGIC);
    trailer[16..24].copy_from_slice(&number.to_le_bytes());
    trailer[24..32].copy_from_slice(&extent.end.to_le_bytes());
    let crc = crc32c(&[&trailer[12..]]);
    trailer[8..12].copy_from_slice(&crc.to_le_bytes());
    (seal, trailer)
}

/// Where the trailer of a file lies.
pub(crate) fn trailer_offset(file_bytes: u64) -> u64 {
    file_bytes.saturating_sub(TRAILER_BYTES as u64)
}

/// Reads the extent of a sealed segment from its seal alone; `None` when there is no sound seal.
pub(crate) fn read_seal<D: Disk>(
    disk: &D,
    file: &D::File,
    header: &SegmentHeader,
) -> Result<Option<Extent>, LogError> {
    let fatal = |error| LogError::fatal(format!("reading {}", disk.describe(&name(header.number))), &error);
    let mut trailer = [0; TRAILER_BYTES];
    read_full(file, &mut trailer, trailer_offset(header.file_bytes)).map_err(fatal)?;
    let sound = trailer[0..8] == TRAILER_MAGIC
        && crc32c(&[&trailer[12..]]) == u32_at(&trailer, 8)
        && u64_at(&trailer, 16) == header.number;
    let place = Place { segment: header.number, offset: u64_at(&trailer, 24) };
    if !sound || place.offset >= header.file_bytes {
        return Ok(None);
    }
    let mut bytes = [0; HEADER_BYTES];
    read_full(file, &mut bytes, place.offset).map_err(fatal)?;
    let Ok(seal) = Header::decode(&bytes, place) else { return Ok(None) };
    if seal.kind != Kind::Seal
        || seal.epoch != header.epoch
        || seal.frame_bytes() > slack_bytes(header.file_bytes)
    {
        return Ok(None);
    }
    let mut payload = vec![0; seal.payload_bytes()];
    read_full(file, &mut payload, place.offset + HEADER_BYTES as u64).map_err(fatal)?;
    Ok(if seal.vouches_for(&payload) { decode_extent(&payload, place.offset) } else { None })
}

fn decode_extent(payload: &[u8], end: u64) -> Option<Extent> {
    let (facts, entries) = payload.split_first_chunk::<{ SEAL_FACTS_BYTES as usize }>()?;
    let (pairs, []) = entries.as_chunks::<{ INDEX_ENTRY_BYTES as usize }>() else { return None };
    let index = pairs
        .iter()
        .map(|pair| Entry { first: Position(u64_at(pair, 0)), offset: u64_at(pair, 8) })
        .collect();
    Some(Extent { last: Position(u64_at(facts, 0)), frames: u64_at(facts, 8), end, index })
}

/// The header of a file as it is on disk.
pub(crate) fn read_header<D: Disk>(
    disk: &D,
    file: &D::File,
    number: u64,
) -> Result<Option<SegmentHeader>, LogError> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
    let fatal = |error| LogError::fatal(format!("reading {}", disk.describe(&name(number))), &error);
    let read = read_full(file, &mut bytes, 0).map_err(fatal)?;
    match SegmentHeader::decode(bytes.get(..read).unwrap_or_default(), number) {
        Ok(header) => Ok(Some(header)),
        Err(None) => Ok(None),
        Err(Some(found)) => {
            Err(LogError::Newer { file: disk.describe(&name(number)), found, known: SEGMENT_VERSION })
        }
    }
}

/// The length of a segment's file.
pub(crate) fn file_length<D: Disk>(disk: &D, file: &D::File, number: u64) -> Result<u64, LogError> {
    file.length()
        .map_err(|error| LogError::fatal(format!("reading {}", disk.describe(&name(number))), &error))
}
