//! A frame: one batch with what proves it.
//!
//! Decoding never panics and never believes a byte before its checksum. The checksums also cover the place
//! (segment and offset), so a frame that lies anywhere but where it was written is no frame. The magic is no
//! UTF-8, so no text that a client sends can look like one.

use crate::checksum::crc32c;
use crate::{Epoch, Position};

/// The first bytes of every frame.
pub(crate) const MAGIC: [u8; 4] = [0xFF, b'D', b'Q', 0xFE];
/// The bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 48;
/// Frames start at multiples of this, so a search for the magic after a bad length misses none.
pub(crate) const ALIGN: usize = 8;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A batch of records.
    Records,
    /// No record: carries the durable mark when writes pause.
    Mark,
    /// No record: the log was closed in order after everything before it was synced.
    CleanMark,
    /// Records that quarantine set aside; no payload.
    Hole,
    /// The end of a full segment; the payload is its index.
    Seal,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Records => 1,
            Self::Mark => 2,
            Self::CleanMark => 3,
            Self::Hole => 4,
            Self::Seal => 5,
        }
    }

    fn of(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Records),
            2 => Some(Self::Mark),
            3 => Some(Self::CleanMark),
            4 => Some(Self::Hole),
            5 => Some(Self::Seal),
            _ => None,
        }
    }
}

/// Where a frame lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

impl Place {
    fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (segment, offset) = bytes.split_at_mut(8);
        segment.copy_from_slice(&self.segment.to_le_bytes());
        offset.copy_from_slice(&self.offset.to_le_bytes());
        bytes
    }
}

/// What a frame says before its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) epoch: Epoch,
    /// The position of its first record, or of the next one when it holds none.
    pub(crate) first: Position,
    /// How many records it holds, or for a hole how many are missing.
    pub(crate) records: u32,
    /// The durable mark when it was written.
    pub(crate) synced_to: Position,
    /// The bytes of its payload.
    pub(crate) length: u32,
    pub(crate) payload_crc: u32,
}

/// Why bytes are no frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHeader {
    /// Wrong magic, wrong checksum or too short.
    Bad,
    /// Checksums match, and this version does not know the kind.
    Newer(u8),
}

impl Header {
    /// The header of a payload.
    pub(crate) fn new(kind: Kind, epoch: Epoch, first: Position, synced_to: Position) -> Self {
        Self { kind, epoch, first, records: 0, synced_to, length: 0, payload_crc: 0 }
    }

    /// The same header for a payload of `records` records.
    pub(crate) fn over(mut self, payload: &[u8], records: u32) -> Self {
        self.records = records;
        self.length = u32::try_from(payload.len()).expect("the limits keep a payload below 4 GiB");
        self.payload_crc = crc32c(&[payload]);
        self
    }

    /// The bytes of the header at `place`.
    pub(crate) fn encode(&self, place: Place) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.epoch.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.synced_to.0.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.records.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[40] = self.kind.code();
        let crc = crc32c(&[&place.bytes(), &bytes[8..]]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header at `place` from the start of `bytes`.
    pub(crate) fn decode(bytes: &[u8], place: Place) -> Result<Self, NoHeader> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>().ok_or(NoHeader::Bad)?;
        if bytes[0..4] != MAGIC || crc32c(&[&place.bytes(), &bytes[8..]]) != u32_at(bytes, 4) {
            return Err(NoHeader::Bad);
        }
        let kind = Kind::of(bytes[40]).ok_or(NoHeader::Newer(bytes[40]))?;
        let header = Self {
            kind,
            length: u32_at(bytes, 8),
            epoch: Epoch(u32_at(bytes, 12)),
            first: Position(u64_at(bytes, 16)),
            synced_to: Position(u64_at(bytes, 24)),
            records: u32_at(bytes, 32),
            payload_crc: u32_at(bytes, 36),
        };
        // Positions near the end of their range would wrap below; no log gets there.
        let sound = header.first.0.checked_add(u64::from(header.records)).is_some() && header.first.0 > 0;
        if sound { Ok(header) } else { Err(NoHeader::Bad) }
    }

    /// Whether `payload` is the one that was written.
    pub(crate) fn vouches_for(&self, payload: &[u8]) -> bool {
        payload.len() as u64 == u64::from(self.length) && crc32c(&[payload]) == self.payload_crc
    }

    /// The last position in it; the one before `first` when it holds none.
    pub(crate) fn last(&self) -> Position {
        Position(self.first.0 + u64::from(self.records) - 1)
    }

    /// The bytes of the payload.
    pub(crate) fn payload_bytes(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// The bytes from the start of this frame to the start of the next.
    pub(crate) fn frame_bytes(&self) -> u64 {
        frame_bytes(u64::from(self.length))
    }
}

/// The bytes of a frame over a payload of `payload` bytes.
pub(crate) const fn frame_bytes(payload: u64) -> u64 {
    (HEADER_BYTES as u64 + payload).next_multiple_of(ALIGN as u64)
}

/// Appends the whole frame, padded to the next start.
pub(crate) fn push_frame(buffer: &mut Vec<u8>, header: &Header, payload: &[u8], place: Place) {
    let start = buffer.len();
    buffer.extend_from_slice(&header.encode(place));
    buffer.extend_from_slice(payload);
    buffer.resize(start + (buffer.len() - start).next_multiple_of(ALIGN), 0);
}

/// The little-endian number at `at`; the caller's array is long enough.
pub(crate) fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

/// The little-endian number at `at`; the caller's array is long enough.
pub(crate) fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Records;
    use proptest::prelude::*;

    fn frame_of(records: &[Vec<u8>], first: u64, epoch: u32, place: Place) -> (Header, Vec<u8>) {
        let mut batch = crate::Batch::new();
        for record in records {
            batch.push(record);
        }
        let count = u32::try_from(records.len()).expect("few records");
        let header = Header::new(Kind::Records, Epoch(epoch), Position(first), Position(first - 1))
            .over(batch.encoded(), count);
        let mut bytes = Vec::new();
        push_frame(&mut bytes, &header, batch.encoded(), place);
        (header, bytes)
    }

    /// The records of a frame, if all of it holds.
    fn read(bytes: &[u8], place: Place) -> Option<(Header, Vec<Vec<u8>>)> {
        let header = Header::decode(bytes, place).ok()?;
        let payload = bytes.get(HEADER_BYTES..HEADER_BYTES + header.payload_bytes())?;
        header.vouches_for(payload).then(|| (header, Records::new(payload).map(<[u8]>::to_vec).collect()))
    }

    fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)
    }

    proptest! {
        #[test]
        fn a_frame_comes_back_as_it_was_written(
            records in records(), first in 1..u64::MAX / 2, epoch: u32, segment: u64, offset: u64,
        ) {
            let place = Place { segment, offset };
            let (header, bytes) = frame_of(&records, first, epoch, place);
            prop_assert_eq!(bytes.len() as u64, header.frame_bytes());
            prop_assert_eq!(bytes.len() % ALIGN, 0);
            prop_assert_eq!(read(&bytes, place), Some((header, records)));
        }

        #[test]
        fn a_frame_with_a_flipped_bit_is_none(records in records(), at: prop::sample::Index, bit in 0..8_u8) {
            let place = Place { segment: 3, offset: 64 };
            let (header, mut bytes) = frame_of(&records, 9, 2, place);
            let covered = HEADER_BYTES + header.payload_bytes();
            let at = at.index(covered);
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(read(&bytes, place), None);
        }

        #[test]
        fn a_frame_at_another_place_is_none(records in records(), segment in 1..9_u64, step in 1..9_u64) {
            let place = Place { segment, offset: 64 };
            let (_, bytes) = frame_of(&records, 9, 2, place);
            prop_assert_eq!(read(&bytes, Place { segment: segment + step, ..place }), None);
            prop_assert_eq!(read(&bytes, Place { offset: 64 + 8 * step, ..place }), None);
        }

        #[test]
        fn a_frame_cut_anywhere_is_none(records in records(), at: prop::sample::Index) {
            let place = Place { segment: 3, offset: 64 };
            let (header, mut bytes) = frame_of(&records, 9, 2, place);
            bytes.truncate(at.index(HEADER_BYTES + header.payload_bytes()));
            prop_assert_eq!(read(&bytes, place), None);
        }

        #[test]
        fn garbage_is_no_frame_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), mark: bool) {
            let mut bytes = bytes;
            if mark && bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&MAGIC);
            }
            prop_assert_eq!(read(&bytes, Place { segment: 1, offset: 64 }), None);
        }
    }

    #[test]
    fn the_magic_is_no_text() {
        // Neither byte occurs anywhere in UTF-8.
        assert!(MAGIC.starts_with(&[0xFF]) && MAGIC.ends_with(&[0xFE]));
    }

    #[test]
    fn an_unknown_kind_is_newer_and_not_bad() {
        let place = Place { segment: 1, offset: 64 };
        let (_, mut bytes) = frame_of(&[], 1, 1, place);
        bytes[40] = 9;
        let crc = crc32c(&[&place.bytes(), &bytes[8..HEADER_BYTES]]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::decode(&bytes, place), Err(NoHeader::Newer(9)));
    }
}
