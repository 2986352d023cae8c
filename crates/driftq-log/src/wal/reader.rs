//! Reading: by position, through the sparse index, beside a writer that goes on.
//!
//! A reader takes no lock while it reads from the disk, checks every byte it hands out, and keeps a bounded
//! number of files open, however many segments and readers there are.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::frame::{HEADER_BYTES, Header, Kind, Place};
use super::segment::{Entry, Segment, name};
use super::window::Window;
use crate::batch::Records;
use crate::disk::Disk;
use crate::{LogError, LogReader, Position};

/// The most segments that are kept open for reading.
const FILES_OPEN_MAX: usize = 64;
/// What one record's read takes in at a time: an index step.
const READ_BLOCK: usize = 64 << 10;
/// What a scan takes in at a time.
pub(crate) const SCAN_BLOCK: usize = 1 << 20;

/// What the writer and its readers share.
#[derive(Debug)]
pub(crate) struct Shared<D: Disk> {
    pub(crate) disk: D,
    /// In order; the last one is being written. Never empty.
    segments: RwLock<Vec<Arc<Segment>>>,
    /// The newest use is last.
    files: Mutex<Vec<(u64, D::File)>>,
}

impl<D: Disk> Shared<D> {
    pub(crate) fn new(disk: D, segments: Vec<Arc<Segment>>) -> Self {
        Self { disk, segments: RwLock::new(segments), files: Mutex::default() }
    }

    pub(crate) fn segments(&self) -> RwLockReadGuard<'_, Vec<Arc<Segment>>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn segments_mut(&self) -> RwLockWriteGuard<'_, Vec<Arc<Segment>>> {
        self.segments.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn first(&self) -> Position {
        self.segments().first().map_or(Position(1), |segment| segment.first)
    }

    /// The segment that holds `at`.
    fn find(&self, at: Position) -> Result<Arc<Segment>, LogError> {
        let segments = self.segments();
        let after = segments.partition_point(|segment| segment.first <= at);
        let Some(segment) = after.checked_sub(1).and_then(|before| segments.get(before)) else {
            let first = segments.first().map_or(Position(1), |segment| segment.first);
            return Err(LogError::Trimmed { first });
        };
        let last = segment.extent().last;
        if at <= last { Ok(Arc::clone(segment)) } else { Err(LogError::NotFound { at, last }) }
    }

    /// The file of a segment, from the few that are open.
    pub(crate) fn file(&self, number: u64) -> Result<D::File, LogError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = files.iter().position(|(open, _)| *open == number) {
            let entry = files.remove(index);
            let file = entry.1.clone();
            files.push(entry);
            return Ok(file);
        }
        drop(files);
        let file = self.disk.open(&name(number)).map_err(|source| self.unopened(number, source))?;
        self.keep_open(number, file.clone());
        Ok(file)
    }

    pub(crate) fn keep_open(&self, number: u64, file: D::File) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= FILES_OPEN_MAX {
            files.remove(0);
        }
        files.push((number, file));
    }

    pub(crate) fn close_file(&self, number: u64) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).retain(|(open, _)| *open != number);
    }

    fn unopened(&self, number: u64, source: std::io::Error) -> LogError {
        let gone = source.kind() == std::io::ErrorKind::NotFound;
        let segments = self.segments();
        match segments.first() {
            // Released between finding and opening it.
            Some(first) if gone && first.number > number => LogError::Trimmed { first: first.first },
            Some(_) | None => {
                LogError::Retry { what: format!("opening {}", self.disk.describe(&name(number))), source }
            }
        }
    }
}

/// A reader of a write-ahead log.
#[derive(Debug)]
pub struct WalReader<D: Disk> {
    pub(crate) shared: Arc<Shared<D>>,
}

impl<D: Disk> Clone for WalReader<D> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<D: Disk> LogReader for WalReader<D> {
    fn read_with(&self, at: Position, seen: &mut dyn FnMut(Position, &[u8])) -> Result<Vec<u8>, LogError> {
        let segment = self.shared.find(at)?;
        let (start, stop) = segment.extent().around(at);
        let mut walk = Walk::new(&self.shared, &segment, start, stop, READ_BLOCK)?;
        let mut wanted = None;
        while wanted.is_none() {
            let Some((header, payload)) = walk.next()? else { break };
            if header.kind == Kind::Hole && (header.first..=header.last()).contains(&at) {
                return Err(LogError::Lost { at });
            }
            wanted = hand_out(&header, payload, at, seen);
        }
        let wanted = wanted.ok_or_else(|| walk.corrupt())?;
        // What lies in the block already is handed out too; damage in it is for its own reader to report.
        while walk.next_is_held() {
            let Ok(Some((header, payload))) = walk.next() else { break };
            hand_out(&header, payload, at, seen);
        }
        Ok(wanted)
    }

    fn scan(
        &self,
        from: Position,
        each: &mut dyn FnMut(Position, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let mut at = from.max(Position(1));
        loop {
            let segment = match self.shared.find(at) {
                Ok(segment) => segment,
                Err(LogError::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(error),
            };
            let last = segment.extent().last;
            let mut walk = Walk::of(&self.shared, &segment, at)?;
            while at <= last {
                let Some((header, payload)) = walk.next()? else { return Err(walk.corrupt()) };
                if header.records == 0 || header.last() < at {
                    continue;
                }
                if scan_frame(&header, payload, at, each).is_break() {
                    return Ok(());
                }
                at = header.last().next();
            }
        }
    }

    fn first(&self) -> Position {
        self.shared.first()
    }

    fn bytes_from(&self, from: Position) -> u64 {
        let segments = self.shared.segments();
        let extents = segments.iter().map(|segment| segment.extent());
        let wanted = extents.filter(|extent| extent.last >= from);
        wanted.map(|extent| extent.end.saturating_sub(extent.around(from).0.offset)).sum()
    }
}

/// Hands the records of one frame from `from` on to `each`.
fn scan_frame(
    header: &Header,
    payload: &[u8],
    from: Position,
    each: &mut dyn FnMut(Position, &[u8]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut position = header.first;
    for record in Records::new(payload) {
        if position >= from {
            each(position, record)?;
        }
        position = position.next();
    }
    ControlFlow::Continue(())
}

/// Hands the records of a frame to `seen`, all but the one at `at`, which is the answer.
fn hand_out(
    header: &Header,
    payload: &[u8],
    at: Position,
    seen: &mut dyn FnMut(Position, &[u8]),
) -> Option<Vec<u8>> {
    if header.kind != Kind::Records {
        return None;
    }
    let mut wanted = None;
    let mut position = header.first;
    for record in Records::new(payload) {
        if position == at {
            wanted = Some(record.to_vec());
        } else {
            seen(position, record);
        }
        position = position.next();
    }
    wanted
}

/// The frames of a segment, one after the other, each checked.
#[derive(Debug)]
pub(crate) struct Walk<'a, D: Disk> {
    shared: &'a Shared<D>,
    window: Window<D::File>,
    place: Place,
    /// The position that the next record must have.
    expected: Position,
    stop: Entry,
    epoch: crate::Epoch,
    end: u64,
}

impl<'a, D: Disk> Walk<'a, D> {
    /// From before `at` to the end of the segment.
    pub(crate) fn of(shared: &'a Shared<D>, segment: &Segment, at: Position) -> Result<Self, LogError> {
        let (start, end) = {
            let extent = segment.extent();
            (extent.around(at).0, Entry { first: extent.last.next(), offset: extent.end })
        };
        Self::new(shared, segment, start, end, SCAN_BLOCK)
    }

    fn new(
        shared: &'a Shared<D>,
        segment: &Segment,
        start: Entry,
        stop: Entry,
        block: usize,
    ) -> Result<Self, LogError> {
        let end = segment.extent().end;
        let block = block.min(usize::try_from(segment.file_bytes).unwrap_or(block));
        let window = Window::new(shared.file(segment.number)?, block);
        let place = Place { segment: segment.number, offset: start.offset };
        Ok(Self { shared, window, place, expected: start.first, stop, epoch: segment.epoch, end })
    }

    /// The next frame; `None` at the end of the segment.
    pub(crate) fn next(&mut self) -> Result<Option<(Header, &[u8])>, LogError> {
        let Some(header) = self.header()? else { return Ok(None) };
        let payload = self.place.offset + HEADER_BYTES as u64;
        let length = header.payload_bytes();
        let sound = match self.window.get(payload, length) {
            Ok(bytes) => header.vouches_for(bytes),
            Err(source) => return Err(self.unread(source)),
        };
        if !sound {
            return Err(self.corrupt());
        }
        self.place.offset += header.frame_bytes();
        self.expected = header.last().next();
        // Held since the call above, so this reads nothing.
        match self.window.get(payload, length) {
            Ok(bytes) => Ok(Some((header, bytes))),
            Err(source) => Err(LogError::Retry { what: "reading a segment".to_owned(), source }),
        }
    }

    fn header(&mut self) -> Result<Option<Header>, LogError> {
        loop {
            if self.place.offset >= self.end {
                return Ok(None);
            }
            let decoded = match self.window.get(self.place.offset, HEADER_BYTES) {
                Ok(bytes) => Header::decode(bytes, self.place),
                Err(source) => return Err(self.unread(source)),
            };
            let Ok(header) = decoded else { return Err(self.corrupt()) };
            if header.frame_bytes() > self.end - self.place.offset {
                return Err(self.corrupt());
            }
            // Left by a writer that had been fenced: passed over, as when the log was opened.
            if header.epoch < self.epoch {
                self.place.offset += header.frame_bytes();
                continue;
            }
            let in_place = header.epoch == self.epoch && header.first == self.expected;
            return if in_place { Ok(Some(header)) } else { Err(self.corrupt()) };
        }
    }

    /// Whether the next frame needs no read.
    fn next_is_held(&self) -> bool {
        let held = self.window.held_from(self.place.offset);
        self.place.offset < self.stop.offset && held >= HEADER_BYTES && {
            let length = self.window.peek(self.place.offset, HEADER_BYTES);
            Header::decode(length, self.place).is_ok_and(|header| held as u64 >= header.frame_bytes())
        }
    }

    /// The damage at the place that the walk has reached.
    pub(crate) fn corrupt(&self) -> LogError {
        LogError::Corrupt {
            file: self.shared.disk.describe(&name(self.place.segment)),
            offset: self.place.offset,
            end: self.stop.offset.max(self.place.offset),
            first: self.expected,
            last: self.stop.first.previous().max(self.expected),
        }
    }

    fn unread(&self, source: std::io::Error) -> LogError {
        let what = format!("reading {}", self.shared.disk.describe(&name(self.place.segment)));
        LogError::Retry { what, source }
    }
}
