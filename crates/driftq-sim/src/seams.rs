//! What lies between the broker and its world: a log that is listened to, and the lies that planted bugs tell.
//!
//! Promise: without a planted bug each seam hands every call through. The tape holds what the log was given, in order,
//! so the oracle sees facts without asking the broker.

use crate::bugs::Bug;
use driftq_core::Position as CorePosition;
use driftq_engine::{Checkpoints, DiskCheckpoints};
use driftq_log::{
    Batch, Disk, DiskFile, Epoch, FaultyDisk, FaultyFile, Limits, Log, LogError, LogReader, Position, Room,
    Wal, WalReader,
};
use std::io;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

/// What the log was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tape {
    inner: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Tape {
    /// Takes what was appended since the last call.
    pub(crate) fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log under test, with an ear on it.
#[derive(Debug)]
pub(crate) struct TapedLog {
    wal: Wal<LyingDisk>,
    tape: Tape,
    bug: Option<Bug>,
}

impl TapedLog {
    pub(crate) fn new(wal: Wal<LyingDisk>, tape: Tape, bug: Option<Bug>) -> Self {
        Self { wal, tape, bug }
    }

    fn is(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }
}

impl Log for TapedLog {
    type Reader = WalReader<LyingDisk>;

    fn epoch(&self) -> Epoch {
        if self.is(Bug::EpochForgotten) { Epoch(1) } else { self.wal.epoch() }
    }

    fn limits(&self) -> Limits {
        // Small segments make small frames: leave room for a whole transition behind the best size.
        let limits = self.wal.limits();
        Limits { frame_bytes_best: limits.frame_bytes_max / 4, ..limits }
    }

    fn last(&self) -> Position {
        self.wal.last()
    }

    fn reserve(&mut self, bytes: usize, records: usize, room: Room) -> Result<(), LogError> {
        self.wal.reserve(bytes, records, room)
    }

    fn append(&mut self, batch: &Batch) -> Result<Position, LogError> {
        let last = if self.is(Bug::BatchTorn) && batch.len() > 1 {
            let mut last = self.wal.last();
            for record in batch.iter() {
                let mut piece = Batch::new();
                piece.push(record);
                last = self.wal.append(&piece)?;
            }
            last
        } else {
            self.wal.append(batch)?
        };
        self.tape.lock().extend(batch.iter().map(<[u8]>::to_vec));
        Ok(last)
    }

    fn durable(&self) -> Position {
        if self.is(Bug::AnswerBeforeSync) { self.wal.last() } else { self.wal.durable() }
    }

    fn wait(&mut self, past: Position, max: Duration) -> Result<Position, LogError> {
        if self.is(Bug::AnswerBeforeSync) { Ok(self.wal.last()) } else { self.wal.wait(past, max) }
    }

    fn mark(&mut self) -> Result<(), LogError> {
        if self.is(Bug::AnswerBeforeSync) { Ok(()) } else { self.wal.mark() }
    }

    fn reader(&self) -> Self::Reader {
        self.wal.reader()
    }

    fn release(&mut self, before: Position) -> Result<(), LogError> {
        self.wal.release(before)
    }

    fn close(self) -> Result<(), LogError> {
        if self.is(Bug::CloseWithoutMark) { Ok(()) } else { self.wal.close() }
    }

    fn bytes(&self) -> u64 {
        self.wal.bytes()
    }
}

/// Reads every record of a log.
pub(crate) fn read_all<R: LogReader>(reader: &R) -> Result<Vec<Vec<u8>>, LogError> {
    let mut records = Vec::new();
    reader.scan(reader.first(), &mut |_, bytes| {
        records.push(bytes.to_vec());
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(records)
}

/// The faulty disk, and what planted bugs make of its syncs.
#[derive(Clone, Debug)]
pub(crate) struct LyingDisk {
    disk: FaultyDisk,
    bug: Option<Bug>,
    syncs: Arc<AtomicU64>,
}

impl LyingDisk {
    pub(crate) fn new(disk: FaultyDisk, bug: Option<Bug>) -> Self {
        Self { disk, bug, syncs: Arc::default() }
    }

    fn file(&self, file: FaultyFile) -> LyingFile {
        LyingFile { file, bug: self.bug, syncs: Arc::clone(&self.syncs) }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct LyingFile {
    file: FaultyFile,
    bug: Option<Bug>,
    syncs: Arc<AtomicU64>,
}

impl Disk for LyingDisk {
    type File = LyingFile;

    fn describe(&self, name: &str) -> String {
        self.disk.describe(name)
    }

    fn create(&self, name: &str) -> io::Result<LyingFile> {
        self.disk.create(name).map(|file| self.file(file))
    }

    fn open(&self, name: &str) -> io::Result<LyingFile> {
        self.disk.open(name).map(|file| self.file(file))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_folder(&self) -> io::Result<()> {
        if self.bug == Some(Bug::FolderNotSynced) { Ok(()) } else { self.disk.sync_folder() }
    }
}

impl DiskFile for LyingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.file.allocate(length)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }

    fn sync(&self) -> io::Result<()> {
        let count = self.syncs.fetch_add(1, Ordering::Relaxed);
        if self.bug == Some(Bug::SyncSometimesSkipped) && count % 4 == 3 { Ok(()) } else { self.file.sync() }
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
}

/// Checkpoints on the disk, and what planted bugs make of them.
#[derive(Debug)]
pub(crate) struct TapedCheckpoints {
    inner: DiskCheckpoints<LyingDisk>,
    bug: Option<Bug>,
    pushed: u64,
    pub(crate) written: Arc<AtomicU64>,
}

impl TapedCheckpoints {
    pub(crate) fn new(disk: LyingDisk, bug: Option<Bug>, written: Arc<AtomicU64>) -> Self {
        Self { inner: DiskCheckpoints::new(disk), bug, pushed: 0, written }
    }
}

impl Checkpoints for TapedCheckpoints {
    fn load(&mut self, each: &mut dyn FnMut(&[u8])) -> Result<(Option<CorePosition>, Vec<String>), LogError> {
        self.inner.load(each)
    }

    fn begin(&mut self, at: CorePosition) {
        self.pushed = 0;
        self.inner.begin(at);
    }

    fn push(&mut self, chunk: Vec<u8>) {
        self.pushed += 1;
        if self.bug != Some(Bug::CheckpointIncomplete) || self.pushed != 4 {
            self.inner.push(chunk);
        }
    }

    fn commit(&mut self) {
        self.inner.commit();
    }

    fn finished(&mut self) -> Option<Result<CorePosition, LogError>> {
        let finished = self.inner.finished();
        if matches!(finished, Some(Ok(_))) {
            self.written.fetch_add(1, Ordering::Relaxed);
        }
        finished
    }
}
