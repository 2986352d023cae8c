//! Checkpoints: the state's entities on the disk, written a few at a time while the broker works.
//!
//! Promise: the writer only encodes; files are written, synced and renamed elsewhere. A checkpoint counts once the log
//! is durable up to everything it holds; until then a start uses the one before.

use driftq_core::{CHECKPOINT_FORMAT, CheckpointError, Entity, EntityId, Frozen, Position, State};
use driftq_log::{Disk, LogError, SnapshotWriter, load_snapshot};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc,
};

/// Bytes of one chunk of the container; a larger entity is cut.
const CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of chunks that may wait for a slow disk.
const UNWRITTEN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Marks a chunk: the format of all that follows, an entity's last piece, a piece before.
const FORMAT: u8 = 2;
const LAST_PIECE: u8 = 1;
const MORE_PIECES: u8 = 0;

/// Where checkpoints are kept.
pub trait Checkpoints: Send + 'static {
    /// Hands the newest whole checkpoint's chunks to `each`; answers its position, and warnings about newer ones that
    /// are damaged.
    ///
    /// # Errors
    ///
    /// [`LogError`] when it cannot be read, or was written by a newer release.
    fn load(&mut self, each: &mut dyn FnMut(&[u8])) -> Result<(Option<Position>, Vec<String>), LogError>;

    /// Begins a checkpoint of the state at this position. What began before and was not committed is dropped.
    fn begin(&mut self, at: Position);

    /// Adds a chunk.
    fn push(&mut self, chunk: Vec<u8>);

    /// Whether another step may be pushed now; the writer waits with the next one otherwise.
    fn has_room(&self) -> bool {
        true
    }

    /// Makes it count.
    fn commit(&mut self);

    /// What became of a commit, once: its position, or why it failed.
    fn finished(&mut self) -> Option<Result<Position, LogError>>;
}

/// Keeps none: a start reads the whole log.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCheckpoints;

impl Checkpoints for NoCheckpoints {
    fn load(&mut self, _each: &mut dyn FnMut(&[u8])) -> Result<(Option<Position>, Vec<String>), LogError> {
        Ok((None, Vec::new()))
    }

    fn begin(&mut self, _at: Position) {}

    fn push(&mut self, _chunk: Vec<u8>) {}

    fn commit(&mut self) {}

    fn finished(&mut self) -> Option<Result<Position, LogError>> {
        None
    }
}

/// Keeps them beside the log, written on the caller's thread.
#[derive(Debug)]
pub struct DiskCheckpoints<D: Disk> {
    disk: D,
    writing: Option<Result<SnapshotWriter<D>, LogError>>,
    finished: Option<Result<Position, LogError>>,
}

impl<D: Disk> DiskCheckpoints<D> {
    /// Checkpoints on this disk.
    #[must_use]
    pub fn new(disk: D) -> Self {
        Self { disk, writing: None, finished: None }
    }
}

impl<D: Disk> Checkpoints for DiskCheckpoints<D> {
    fn load(&mut self, each: &mut dyn FnMut(&[u8])) -> Result<(Option<Position>, Vec<String>), LogError> {
        let loaded = load_snapshot(&self.disk)?;
        let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
        let Some(snapshot) = loaded.snapshot else { return Ok((None, warnings)) };
        snapshot.read(each)?;
        Ok((Some(Position(snapshot.at.0)), warnings))
    }

    fn begin(&mut self, at: Position) {
        self.writing = Some(SnapshotWriter::begin(self.disk.clone(), driftq_log::Position(at.0)));
    }

    fn push(&mut self, chunk: Vec<u8>) {
        if let Some(Ok(writer)) = &mut self.writing
            && let Err(error) = writer.push(&chunk)
        {
            self.writing = Some(Err(error));
        }
    }

    fn commit(&mut self) {
        self.finished = self.writing.take().map(|writing| {
            let writer = writing?;
            let at = Position(writer.at().0);
            writer.commit().map(|()| at)
        });
    }

    fn finished(&mut self) -> Option<Result<Position, LogError>> {
        self.finished.take()
    }
}

enum Step {
    Begin(Position),
    Push(Vec<u8>),
    Commit,
}

/// Keeps them elsewhere, written on a thread of its own so that the writer never waits for their sync.
#[derive(Debug)]
pub struct ThreadedCheckpoints<K> {
    inner: Option<K>,
    steps: Option<mpsc::Sender<Step>>,
    results: Option<mpsc::Receiver<Result<Position, LogError>>>,
    /// Bytes of chunks that are not written yet.
    unwritten: Arc<AtomicUsize>,
}

impl<K: Checkpoints> ThreadedCheckpoints<K> {
    /// Moves these checkpoints to their own thread with the first one that is written.
    #[must_use]
    pub fn new(inner: K) -> Self {
        Self { inner: Some(inner), steps: None, results: None, unwritten: Arc::default() }
    }

    fn send(&mut self, step: Step) {
        if let Some(inner) = self.inner.take() {
            let (steps, received) = mpsc::channel();
            let (answer, results) = mpsc::channel();
            let unwritten = Arc::clone(&self.unwritten);
            let run = move || write_all(inner, &received, &answer, &unwritten);
            // Without the thread there are no checkpoints; the log alone is enough to start from.
            let spawned = std::thread::Builder::new().name("driftq-checkpoint".to_owned()).spawn(run);
            if spawned.is_ok() {
                self.steps = Some(steps);
                self.results = Some(results);
            }
        }
        if let Some(steps) = &self.steps {
            let _ended = steps.send(step);
        }
    }
}

fn write_all<K: Checkpoints>(
    mut inner: K,
    steps: &mpsc::Receiver<Step>,
    answer: &mpsc::Sender<Result<Position, LogError>>,
    unwritten: &AtomicUsize,
) {
    for step in steps {
        match step {
            Step::Begin(at) => inner.begin(at),
            Step::Push(chunk) => {
                let bytes = chunk.len();
                inner.push(chunk);
                unwritten.fetch_sub(bytes, Ordering::Relaxed);
            }
            Step::Commit => {
                inner.commit();
                if let Some(result) = inner.finished()
                    && answer.send(result).is_err()
                {
                    return;
                }
            }
        }
    }
}

impl<K: Checkpoints> Checkpoints for ThreadedCheckpoints<K> {
    fn load(&mut self, each: &mut dyn FnMut(&[u8])) -> Result<(Option<Position>, Vec<String>), LogError> {
        self.inner.as_mut().map_or(Ok((None, Vec::new())), |inner| inner.load(each))
    }

    fn begin(&mut self, at: Position) {
        self.send(Step::Begin(at));
    }

    fn has_room(&self) -> bool {
        self.unwritten.load(Ordering::Relaxed) < UNWRITTEN_BYTES_MAX
    }

    fn push(&mut self, chunk: Vec<u8>) {
        self.unwritten.fetch_add(chunk.len(), Ordering::Relaxed);
        self.send(Step::Push(chunk));
    }

    fn commit(&mut self) {
        self.send(Step::Commit);
    }

    fn finished(&mut self) -> Option<Result<Position, LogError>> {
        self.results.as_ref()?.try_recv().ok()
    }
}

/// How much of a checkpoint one turn of the writer encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointTurn {
    /// Bytes after which the turn goes on with something else.
    pub bytes: usize,
    /// Entries of a long entity that are encoded at a time.
    pub piece_entries: usize,
}

impl Default for CheckpointTurn {
    fn default() -> Self {
        Self { bytes: 256 * 1024, piece_entries: 4_096 }
    }
}

/// A checkpoint that is being encoded.
#[derive(Debug)]
pub(crate) struct Progress {
    left: std::vec::IntoIter<EntityId>,
    /// What is left of the entity that was begun last.
    begun: Option<Frozen>,
    /// Once all is encoded: how far the log has to be durable before it counts.
    pub(crate) needs: Option<Position>,
}

impl Progress {
    pub(crate) fn begin(state: &State, checkpoints: &mut dyn Checkpoints) -> Self {
        checkpoints.begin(state.applied);
        checkpoints.push(vec![FORMAT, CHECKPOINT_FORMAT]);
        let mut left = state.entities().into_iter();
        // Time and ordinals belong to the very position at which the list of entities was made.
        let header = left.next().and_then(|id| state.freeze(id, 0));
        header.into_iter().flatten().for_each(|entity| push_pieces(checkpoints, &entity));
        Self { left, begun: None, needs: None }
    }

    /// Encodes some more entities.
    pub(crate) fn step(&mut self, state: &State, turn: CheckpointTurn, checkpoints: &mut dyn Checkpoints) {
        let mut bytes = 0;
        while bytes < turn.bytes {
            let Some(entity) = self.begun.as_mut().and_then(Iterator::next) else {
                let Some(id) = self.left.next() else {
                    self.begun = None;
                    self.needs = Some(state.applied);
                    return;
                };
                // An entity that is gone by now is told of by the log behind this checkpoint.
                self.begun = state.freeze(id, turn.piece_entries);
                continue;
            };
            bytes += entity.len();
            push_pieces(checkpoints, &entity);
        }
    }
}

fn push_pieces(checkpoints: &mut dyn Checkpoints, entity: &[u8]) {
    let mut pieces = entity.chunks(CHUNK_BYTES_MAX).peekable();
    while let Some(piece) = pieces.next() {
        let mark = if pieces.peek().is_some() { MORE_PIECES } else { LAST_PIECE };
        let mut chunk = Vec::with_capacity(piece.len() + 1);
        chunk.push(mark);
        chunk.extend_from_slice(piece);
        checkpoints.push(chunk);
    }
}

/// Puts pieces together again while a checkpoint is loaded.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    entity: Vec<u8>,
    is_known: bool,
}

impl Assembler {
    /// Takes a chunk; answers the entity that it completes, or that the checkpoint is of another format.
    pub(crate) fn take(&mut self, chunk: &[u8]) -> Option<Result<Entity, CheckpointError>> {
        let (mark, piece) = chunk.split_first()?;
        if *mark == FORMAT {
            self.is_known = piece == [CHECKPOINT_FORMAT];
            return None;
        }
        if !self.is_known {
            return Some(Err(CheckpointError));
        }
        self.entity.extend_from_slice(piece);
        if *mark == MORE_PIECES {
            return None;
        }
        let entity = Entity::decode(&self.entity);
        self.entity.clear();
        Some(entity)
    }
}
