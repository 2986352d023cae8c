//! The writer: one frame per batch, one sync for all of them.
//!
//! It has no thread of its own: syncs run on the caller's thread, in `wait`. After the first failed sync it
//! answers nothing but `Fatal`; it never syncs that file again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::frame::{Header, Kind, Place, frame_bytes, push_frame};
use super::manifest::{Facts, Manifest};
use super::reader::{Shared, WalReader};
use super::segment::{
    Extent, SEGMENT_HEADER_BYTES, Segment, SegmentHeader, encode_seal, name, slack_bytes, trailer_offset,
};
use super::space::{Spares, Supply};
use super::{Recovered, WalOptions, recovery};
use crate::batch::RECORD_PREFIX;
use crate::disk::{Disk, DiskFile, is_full, write_full};
use crate::{Batch, Epoch, Limits, Log, LogError, LogReader, Position, Room};

/// The most bytes of records in one frame, however large a segment is.
const FRAME_BYTES_MAX: u64 = 16 << 20;
const FRAME_BYTES_BEST: u64 = 256 << 10;
/// The most segments that one reservation may ask for.
const RESERVATION_SEGMENTS_MAX: u64 = 16;

/// The write-ahead log over a disk.
#[derive(Debug)]
pub struct Wal<D: Disk> {
    pub(crate) shared: Arc<Shared<D>>,
    pub(crate) manifest: Manifest<D::File>,
    pub(crate) spares: Spares<D::File>,
    pub(crate) epoch: Epoch,
    /// The segment being written, its file, and where the next frame goes.
    pub(crate) current: Arc<Segment>,
    pub(crate) file: D::File,
    pub(crate) offset: u64,
    pub(crate) last: Position,
    pub(crate) durable: Position,
    /// The greatest durable mark that is on the disk for sure.
    pub(crate) marked: Position,
    /// The greatest durable mark that was written.
    pub(crate) mark_written: Position,
    /// Bytes of frames that cannot fail for space.
    pub(crate) granted: u64,
    /// What was being done when the log failed for good, and what the system said.
    pub(crate) failed: Option<(String, String)>,
    pub(crate) scratch: Vec<u8>,
}

impl<D: Disk> Wal<D> {
    /// Opens the log on a disk: finds where it ends, makes sure of everything it will serve, and starts a
    /// new epoch. What is torn is cut and counted; what is rotten stops it.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] names file, offset and range of damage below the durable mark;
    /// [`LogError::Newer`], [`LogError::Full`], [`LogError::Fatal`]. Nothing that was there has changed then.
    pub fn open(disk: D, options: WalOptions) -> Result<(Self, Recovered), LogError> {
        recovery::recover(disk, &options)
    }

    fn sound(&self) -> Result<(), LogError> {
        match &self.failed {
            None => Ok(()),
            Some((what, reason)) => Err(LogError::Fatal { what: what.clone(), reason: reason.clone() }),
        }
    }

    fn fail(&mut self, what: &str, error: &io::Error) -> LogError {
        self.failed = Some((what.to_owned(), error.to_string()));
        LogError::fatal(what, error)
    }

    /// Where records of the current segment must end.
    fn limit(&self) -> u64 {
        self.current.file_bytes.saturating_sub(slack_bytes(self.current.file_bytes))
    }

    /// Syncs everything that was appended.
    fn sync(&mut self) -> Result<(), LogError> {
        let (last, mark) = (self.last, self.mark_written);
        self.file.sync().map_err(|error| self.fail("syncing the log", &error))?;
        self.durable = last;
        self.marked = self.marked.max(mark);
        Ok(())
    }

    /// Writes one frame where there is room for it.
    fn write(&mut self, kind: Kind, payload: &[u8], records: u32) -> Result<(), LogError> {
        let header = Header::new(kind, self.epoch, self.last.next(), self.durable).over(payload, records);
        let place = Place { segment: self.current.number, offset: self.offset };
        self.scratch.clear();
        push_frame(&mut self.scratch, &header, payload, place);
        match write_full(&self.file, &self.scratch, self.offset) {
            Ok(()) => {}
            // Half a frame, which the next one overwrites: nothing was appended.
            Err(error) if is_full(&error) => return Err(LogError::Full { what: error.to_string() }),
            Err(error) => return Err(self.fail("writing to the log", &error)),
        }
        self.current.add(&header, self.offset);
        self.offset += header.frame_bytes();
        self.last = header.last();
        self.mark_written = self.mark_written.max(header.synced_to);
        Ok(())
    }

    /// Goes on in a new segment. Everything in the old one is durable before the new one says so.
    fn rotate(&mut self) -> Result<(), LogError> {
        let disk = self.shared.disk.clone();
        let number = self.manifest.facts.newest.max(self.current.number) + 1;
        if let Err(error) = self.spares.fill(&disk, 1) {
            return Err(self.fail("allocating a segment", &error));
        }
        let taken = self.spares.take(&disk, &name(number));
        let Some(file) = taken.map_err(|error| self.fail("taking a segment into use", &error))? else {
            return Err(LogError::Full { what: "no room for another segment".to_owned() });
        };
        self.seal().map_err(|error| self.fail("sealing a segment", &error))?;
        self.sync()?;
        self.say(Facts { newest: number, ..self.manifest.facts })?;
        let file_bytes = self.spares.file_bytes;
        let header = SegmentHeader { number, epoch: self.epoch, first: self.last.next(), file_bytes };
        write_full(&file, &header.encode(), 0).map_err(|error| self.fail("starting a segment", &error))?;
        self.current = Arc::new(Segment::new(&header, file_bytes, Extent::empty(header.first)));
        self.shared.keep_open(number, file.clone());
        self.shared.segments_mut().push(Arc::clone(&self.current));
        self.file = file;
        self.offset = SEGMENT_HEADER_BYTES;
        self.mark_written = self.mark_written.max(self.last);
        Ok(())
    }

    /// Brings the manifest up to date, durably, with the durable mark in it.
    fn say(&mut self, facts: Facts) -> Result<(), LogError> {
        let facts = Facts { synced_to: facts.synced_to.max(self.durable), ..facts };
        self.manifest.write(facts).map_err(|error| self.fail("writing the manifest", &error))
    }

    fn seal(&self) -> io::Result<()> {
        let extent = self.current.extent().clone();
        let (seal, trailer) = encode_seal(&extent, self.epoch, self.durable, self.current.number);
        write_full(&self.file, &seal, extent.end)?;
        write_full(&self.file, &trailer, trailer_offset(self.current.file_bytes))
    }

    /// Has `wanted` segments in store; growth leaves the reserve alone.
    fn supply(&mut self, wanted: usize, room: Room) -> Result<(), LogError> {
        let disk = self.shared.disk.clone();
        let whole = self.spares.reserve.saturating_add(wanted);
        if self.spares.count() >= whole || (room == Room::Settlement && wanted == 0) {
            return Ok(());
        }
        let supply = self.spares.fill(&disk, whole).map_err(|error| self.unsupplied(error))?;
        let enough = match room {
            Room::Growth => supply == Supply::Enough,
            Room::Settlement => self.spares.count() >= wanted,
        };
        if enough { Ok(()) } else { Err(LogError::Full { what: "no room for another segment".to_owned() }) }
    }

    fn unsupplied(&mut self, source: io::Error) -> LogError {
        let files_run_out = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE]
            .iter()
            .any(|errno| source.raw_os_error() == Some(errno.raw_os_error()));
        if files_run_out {
            return LogError::Retry { what: "allocating a segment".to_owned(), source };
        }
        self.fail("allocating a segment", &source)
    }

    /// The largest frame that any segment takes: half of one, so that rotating wastes at most as much.
    fn frame_bytes_whole_max(&self) -> u64 {
        let file_bytes = self.spares.file_bytes;
        file_bytes.saturating_sub(slack_bytes(file_bytes) + SEGMENT_HEADER_BYTES) / 2
    }
}

impl<D: Disk> Log for Wal<D> {
    type Reader = WalReader<D>;

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn limits(&self) -> Limits {
        let max = FRAME_BYTES_MAX.min(self.frame_bytes_whole_max() / 2);
        let best = FRAME_BYTES_BEST.min(max);
        let size = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        Limits { frame_bytes_max: size(max), frame_bytes_best: size(best) }
    }

    fn last(&self) -> Position {
        self.last
    }

    fn reserve(&mut self, bytes: usize, records: usize, room: Room) -> Result<(), LogError> {
        self.sound()?;
        // At worst each record comes in a frame of its own, and each frame is padded.
        let each = frame_bytes(0) + RECORD_PREFIX as u64 + (super::frame::ALIGN as u64 - 1);
        let need = (bytes as u64).saturating_add((records as u64).saturating_mul(each));
        let left = self.limit().saturating_sub(self.offset);
        let per_segment = self.frame_bytes_whole_max().max(1);
        let segments = if need <= left { 0 } else { need.div_ceil(per_segment) };
        if segments > RESERVATION_SEGMENTS_MAX {
            let max = usize::try_from(per_segment * RESERVATION_SEGMENTS_MAX).unwrap_or(usize::MAX);
            return Err(LogError::TooLarge { bytes, max });
        }
        self.supply(usize::try_from(segments).unwrap_or(usize::MAX), room)?;
        self.granted = need;
        Ok(())
    }

    fn append(&mut self, batch: &Batch) -> Result<Position, LogError> {
        self.sound()?;
        if batch.is_empty() {
            return Ok(self.last);
        }
        let max = self.limits().frame_bytes_max;
        let whole = frame_bytes(batch.encoded().len() as u64);
        if batch.bytes() > max || whole > self.frame_bytes_whole_max() {
            return Err(LogError::TooLarge { bytes: batch.bytes(), max });
        }
        if whole > self.granted {
            self.reserve(batch.bytes(), batch.len(), Room::Growth)?;
        }
        if whole > self.limit().saturating_sub(self.offset) {
            self.rotate()?;
        }
        let records = u32::try_from(batch.len()).expect("the limits keep a frame below 4 GiB");
        self.write(Kind::Records, batch.encoded(), records)?;
        self.granted = self.granted.saturating_sub(whole);
        Ok(self.last)
    }

    fn durable(&self) -> Position {
        self.durable
    }

    fn wait(&mut self, past: Position, _max: Duration) -> Result<Position, LogError> {
        self.sound()?;
        if self.durable <= past && self.durable < self.last {
            self.sync()?;
        }
        Ok(self.durable)
    }

    fn mark(&mut self) -> Result<(), LogError> {
        self.sound()?;
        if self.durable < self.last {
            self.sync()?;
        }
        if self.marked >= self.durable {
            return Ok(());
        }
        if frame_bytes(0) > self.limit().saturating_sub(self.offset) {
            self.supply(1, Room::Settlement)?;
            self.rotate()?;
        }
        if self.mark_written < self.durable {
            self.write(Kind::Mark, &[], 0)?;
        }
        self.sync()
    }

    fn reader(&self) -> WalReader<D> {
        WalReader { shared: Arc::clone(&self.shared) }
    }

    fn release(&mut self, before: Position) -> Result<(), LogError> {
        self.sound()?;
        let dead: Vec<u64> = {
            let segments = self.shared.segments();
            let done = |segment: &&Arc<Segment>| {
                segment.number != self.current.number && segment.extent().last < before
            };
            segments.iter().take_while(done).map(|segment| segment.number).collect()
        };
        let Some(kept) = self.shared.segments().get(dead.len()).filter(|_| !dead.is_empty()).cloned() else {
            return Ok(());
        };
        // First say so, then do it: a start that finds them gone must know that they were not lost.
        self.say(Facts { oldest: kept.first, ..self.manifest.facts })?;
        self.shared.segments_mut().drain(..dead.len());
        let retry = |source| LogError::Retry { what: "removing a released segment".to_owned(), source };
        for number in dead {
            self.shared.close_file(number);
            self.shared.disk.remove(&name(number)).map_err(retry)?;
        }
        let synced = self.shared.disk.sync_folder();
        synced.map_err(|error| self.fail("syncing the data folder", &error))
    }

    fn close(mut self) -> Result<(), LogError> {
        self.sound()?;
        self.sync()?;
        // The room for this mark is never given away.
        self.write(Kind::CleanMark, &[], 0)?;
        self.sync()?;
        // Once more outside the segment: one bad sector may take the last records and the mark with them.
        self.say(self.manifest.facts)
    }

    fn bytes(&self) -> u64 {
        let segments: u64 = self.shared.segments().iter().map(|segment| segment.file_bytes).sum();
        segments + self.spares.bytes()
    }
}

impl<D: Disk> Wal<D> {
    /// The first position that has not been released.
    pub fn first(&self) -> Position {
        self.reader().first()
    }
}
