//! Examining a segment: what in it holds, where it stops, and what its later frames prove.
//!
//! It judges nothing and changes nothing; it reads every byte of the file, because a frame far behind a bad
//! one may prove that the bad one was durable.

use super::SEGMENT_BYTES_MIN;
use super::frame::{ALIGN, HEADER_BYTES, Header, Kind, MAGIC, NoHeader, Place};
use super::reader::SCAN_BLOCK;
use super::segment::{
    Extent, SEGMENT_HEADER_BYTES, SEGMENT_VERSION, SegmentHeader, file_length, name, read_header, read_seal,
    trailer_offset,
};
use super::window::Window;
use crate::disk::Disk;
use crate::{Epoch, LogError, Position};

/// What a segment's file holds.
#[derive(Clone, Debug)]
pub(crate) struct Examined {
    pub(crate) number: u64,
    /// How long the file is.
    pub(crate) length: u64,
    pub(crate) header: Option<SegmentHeader>,
    /// The frames from the start on that follow each other without a break.
    pub(crate) extent: Extent,
    /// Holes that an earlier quarantine left in it.
    pub(crate) holes: u64,
    /// The last of those frames says that the log was closed in order.
    pub(crate) clean: bool,
    /// The greatest position that any frame in it proves to have been durable.
    pub(crate) proves: Position,
    /// The byte after the last one that is not zero.
    pub(crate) used: u64,
    /// The bytes behind the last frame that follows, as far as they are not zero.
    pub(crate) rest: u64,
    /// Whether it ends in a seal.
    pub(crate) sealed: bool,
    /// The newest epoch of any frame in it.
    pub(crate) epoch: Epoch,
    /// Frames of a fenced writer, passed over.
    pub(crate) stale_frames: u64,
}

impl Examined {
    /// Whether the file never held anything.
    pub(crate) fn is_blank(&self) -> bool {
        self.used == 0
    }

    /// Whether the file is shorter than it was made.
    pub(crate) fn is_cut_short(&self) -> bool {
        self.length < self.header.map_or(SEGMENT_BYTES_MIN, |header| header.file_bytes)
    }
}

/// Reads a sealed segment from its seal, or any segment frame by frame.
///
/// `trusted` is the position up to which a sound seal is taken for the whole segment.
pub(crate) fn examine<D: Disk>(disk: &D, number: u64, trusted: Position) -> Result<Examined, LogError> {
    let fatal = |error| LogError::fatal(format!("opening {}", disk.describe(&name(number))), &error);
    let file = disk.open(&name(number)).map_err(fatal)?;
    let header = read_header(disk, &file, number)?;
    let length = file_length(disk, &file, number)?;
    if let Some(header) = header
        && let Some(extent) = read_seal(disk, &file, &header)?
        && extent.last <= trusted
    {
        return Ok(Examined {
            number,
            length,
            header: Some(header),
            holes: 0,
            clean: false,
            proves: extent.last,
            used: extent.end,
            rest: 0,
            sealed: true,
            epoch: header.epoch,
            stale_frames: 0,
            extent,
        });
    }
    Scan::new(disk, file, number, length, header).run()
}

struct Scan<'a, D: Disk> {
    disk: &'a D,
    window: Window<D::File>,
    offset: u64,
    /// The byte after the last frame that follows, the seal included.
    sound_end: u64,
    /// Whether the frames that follow each other have broken off.
    broken: bool,
    found: Examined,
}

impl<'a, D: Disk> Scan<'a, D> {
    fn new(disk: &'a D, file: D::File, number: u64, length: u64, header: Option<SegmentHeader>) -> Self {
        let first = header.map_or(Position(1), |header| header.first);
        let found = Examined {
            number,
            length,
            header,
            extent: Extent::empty(first),
            holes: 0,
            clean: false,
            proves: header.map_or(Position(0), |header| header.first.previous()),
            used: if header.is_some() { SEGMENT_HEADER_BYTES } else { 0 },
            rest: 0,
            sealed: false,
            epoch: header.map_or(Epoch(0), |header| header.epoch),
            stale_frames: 0,
        };
        let offset = if header.is_some() { SEGMENT_HEADER_BYTES } else { 0 };
        let block = SCAN_BLOCK.min(usize::try_from(length).unwrap_or(SCAN_BLOCK));
        let window = Window::new(file, block);
        Self { disk, window, offset, sound_end: offset, broken: header.is_none(), found }
    }

    fn run(mut self) -> Result<Examined, LogError> {
        while self.offset < self.found.length {
            match self.frame()? {
                Some(header) => self.take(&header),
                None => self.search()?,
            }
        }
        self.found.rest = self.found.used.saturating_sub(self.sound_end);
        Ok(self.found)
    }

    /// The sound frame at the offset, if there is one. A sound header counts as proof even when its payload
    /// does not hold.
    fn frame(&mut self) -> Result<Option<Header>, LogError> {
        let place = Place { segment: self.found.number, offset: self.offset };
        let bytes =
            self.window.get(self.offset, HEADER_BYTES).map_err(|error| unread(self.disk, place, &error))?;
        let header = match Header::decode(bytes, place) {
            Ok(header) => header,
            Err(NoHeader::Bad) => return Ok(None),
            Err(NoHeader::Newer(_)) => {
                let file = self.disk.describe(&name(place.segment));
                return Err(LogError::Newer { file, found: SEGMENT_VERSION + 1, known: SEGMENT_VERSION });
            }
        };
        self.found.proves = self.found.proves.max(header.synced_to);
        if header.frame_bytes() > self.found.length - self.offset {
            return Ok(None);
        }
        let payload = self
            .window
            .get(self.offset + HEADER_BYTES as u64, header.payload_bytes())
            .map_err(|error| unread(self.disk, place, &error))?;
        Ok(header.vouches_for(payload).then_some(header))
    }

    fn take(&mut self, header: &Header) {
        let end = self.offset + header.frame_bytes();
        self.found.epoch = self.found.epoch.max(header.epoch);
        let epoch = self.found.header.map_or(Epoch::default(), |header| header.epoch);
        if header.epoch < epoch {
            self.found.stale_frames += 1;
        } else if !self.broken {
            if header.epoch == epoch && header.first == self.found.extent.last.next() {
                self.follow(header);
            } else {
                self.broken = true;
            }
        }
        self.found.used = end;
        self.offset = end;
    }

    fn follow(&mut self, header: &Header) {
        self.found.clean = header.kind == Kind::CleanMark;
        match header.kind {
            Kind::Records | Kind::Mark | Kind::CleanMark => self.found.extent.add(header, self.offset),
            Kind::Hole => {
                self.found.holes += u64::from(header.records);
                self.found.extent.add(header, self.offset);
            }
            // Not part of what is read; nothing follows it but the trailer.
            Kind::Seal => self.found.sealed = true,
        }
        self.sound_end = self.offset + header.frame_bytes();
    }

    /// Goes on to the next place where a frame may start, noting whether there was anything but zeros.
    fn search(&mut self) -> Result<(), LogError> {
        self.broken = true;
        let place = Place { segment: self.found.number, offset: self.offset };
        // The trailer of a seal is no rest of a torn frame.
        let trailer = self.found.header.map_or(self.found.length, |header| trailer_offset(header.file_bytes));
        let end = trailer.min(self.found.length);
        // Past the place itself, which is no frame.
        let mut skip = ALIGN;
        while self.offset < end {
            let length = usize::try_from(end - self.offset).unwrap_or(usize::MAX).min(SCAN_BLOCK / 2);
            let block =
                self.window.get(self.offset, length).map_err(|error| unread(self.disk, place, &error))?;
            if block.is_empty() {
                break;
            }
            let (passed, used, found) = search_block(block, skip);
            if used > 0 {
                self.found.used = self.offset + used as u64;
            }
            self.offset += passed as u64;
            if found {
                return Ok(());
            }
            skip = 0;
        }
        self.offset = self.found.length;
        Ok(())
    }
}

/// Looks for the magic in `block`, from `skip` on: the bytes passed, the bytes up to the last passed one
/// that is not zero, and whether it was found.
fn search_block(block: &[u8], skip: usize) -> (usize, usize, bool) {
    let mut used = 0;
    for (step, word) in block.chunks(ALIGN).enumerate() {
        let at = step * ALIGN;
        if at >= skip && word.starts_with(&MAGIC) {
            return (at, used, true);
        }
        if word.iter().any(|byte| *byte != 0) {
            used = at + word.len();
        }
    }
    (block.len(), used, false)
}

fn unread<D: Disk>(disk: &D, place: Place, error: &std::io::Error) -> LogError {
    LogError::fatal(
        format!("reading {} at byte {}", disk.describe(&name(place.segment)), place.offset),
        error,
    )
}

/// Cuts what was found back to its frames at or below `last`, and returns how many records' frames that took.
pub(crate) fn cut<D: Disk>(disk: &D, found: &mut Examined, last: Position) -> Result<u64, LogError> {
    if found.extent.last <= last {
        return Ok(0);
    }
    let fatal = |error| LogError::fatal(format!("opening {}", disk.describe(&name(found.number))), &error);
    let file = disk.open(&name(found.number)).map_err(fatal)?;
    let mut scan = Scan::new(disk, file, found.number, found.extent.end, found.header);
    while scan.offset < found.extent.end {
        match scan.frame()? {
            Some(frame) if frame.last() <= last => scan.take(&frame),
            Some(_) | None => break,
        }
    }
    let lost = found.extent.frames.saturating_sub(scan.found.extent.frames);
    found.extent = scan.found.extent;
    found.holes = scan.found.holes;
    found.clean = false;
    Ok(lost)
}
