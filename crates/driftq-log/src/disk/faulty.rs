//! A disk in memory that loses, tears and refuses, the same way for the same seed.
//!
//! Each file has a durable content and unsynced operations on top; the folder's entries are kept apart from
//! the files' content, as on a real disk. A sync moves operations down; a power cut keeps a random subset of
//! what was not synced and tears some of it at 512 bytes. Handles from before a crash answer nothing but
//! errors afterwards.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile};

/// What a power cut cannot tear.
const SECTOR_BYTES: usize = 512;

/// The kinds of calls that a disk answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Opening a file, listing the folder, asking for a length.
    Look,
    /// Reading from a file.
    Read,
    /// Writing to a file.
    Write,
    /// Holding blocks for a file, or cutting it.
    Resize,
    /// Making a file's content durable.
    Sync,
    /// Creating, renaming or removing a file.
    Folder,
    /// Making the folder's entries durable.
    SyncFolder,
}

/// What a planned fault does instead of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Fails with an input/output error.
    Error,
    /// Is interrupted by a signal, having done nothing.
    Interrupted,
    /// Does only a part of a read or write.
    Short,
    /// Finds no room.
    Full,
}

/// A folder of files in memory; clones share it.
#[derive(Clone, Debug)]
pub struct FaultyDisk {
    world: Arc<Mutex<World>>,
    /// The life that this handle belongs to; a crash begins another one.
    life: u64,
}

/// An open file of a [`FaultyDisk`].
#[derive(Clone, Debug)]
pub struct FaultyFile {
    disk: FaultyDisk,
    inode: u64,
}

#[derive(Debug)]
struct World {
    random: Random,
    life: u64,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    /// Names as the process sees them, as a power cut leaves them, and the changes between.
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    changes: Vec<NameChange>,
    operations: BTreeMap<Operation, u64>,
    operations_total: u64,
    stop_at: Option<u64>,
    planned: Vec<(Operation, u64, Fault)>,
    short_one_in: Option<u64>,
    capacity: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
enum Pending {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(String, u64),
    Rename(String, String),
    Unlink(String),
}

impl FaultyDisk {
    /// An empty disk without faults; `seed` decides what crashes keep.
    pub fn new(seed: u64) -> Self {
        let world = World {
            random: Random(seed),
            life: 0,
            inodes: BTreeMap::new(),
            next_inode: 1,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            operations: BTreeMap::new(),
            operations_total: 0,
            stop_at: None,
            planned: Vec::new(),
            short_one_in: None,
            capacity: None,
        };
        Self { world: Arc::new(Mutex::new(world)), life: 0 }
    }

    /// Cuts the power: unsynced work is kept, torn or lost at random. Returns the disk as the next start
    /// finds it; faults that were planned are forgotten, the capacity stays.
    #[must_use]
    pub fn after_crash(&self) -> Self {
        let mut world = self.world();
        world.cut_power();
        world.next_life();
        Self { world: Arc::clone(&self.world), life: world.life }
    }

    /// Ends the process alone: everything that was handed to the system is still seen, synced or not.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let mut world = self.world();
        world.next_life();
        Self { world: Arc::clone(&self.world), life: world.life }
    }

    /// Stops at the `n`-th call from now on (the first is 1): a write is done in part, and every
    /// call from then on fails, until the next crash.
    pub fn stop_at(&self, n: u64) {
        let mut world = self.world();
        world.stop_at = Some(world.operations_total + n);
    }

    /// How many calls were made since the disk was new.
    pub fn operations(&self) -> u64 {
        self.world().operations_total
    }

    /// Plans a fault for the `n`-th call of a kind from now on (the first is 1).
    ///
    /// A sync that fails leaves its file as kernels do: marked clean, partly on the disk or not at all, and
    /// no later sync brings the rest.
    pub fn plan(&self, operation: Operation, n: u64, fault: Fault) {
        let mut world = self.world();
        let at = world.operations.get(&operation).copied().unwrap_or(0) + n;
        world.planned.push((operation, at, fault));
    }

    /// Lets one in `n` reads and writes be short or interrupted; 0 ends it.
    pub fn stutter(&self, n: u64) {
        self.world().short_one_in = (n > 0).then_some(n);
    }

    /// Limits the bytes of all files together; `None` lifts it.
    pub fn limit(&self, capacity: Option<u64>) {
        self.world().capacity = capacity;
    }

    /// The bytes of all files together.
    pub fn used(&self) -> u64 {
        self.world().used()
    }

    /// Turns one bit of a file around, on the disk and in the cache. `false` when there is no such byte.
    pub fn flip(&self, name: &str, offset: u64, bit: u8) -> bool {
        self.change(name, offset, |byte| *byte ^= 1 << (bit % 8))
    }

    /// Zeroes the sector that holds `offset`, on the disk and in the cache.
    pub fn zero_sector(&self, name: &str, offset: u64) -> bool {
        let start = offset - offset % SECTOR_BYTES as u64;
        let mut any = false;
        for at in start..start + SECTOR_BYTES as u64 {
            any |= self.change(name, at, |byte| *byte = 0);
        }
        any
    }

    /// Removes a file behind the log's back, durably. `false` when there is none.
    pub fn lose(&self, name: &str) -> bool {
        let mut world = self.world();
        world.durable_names.remove(name);
        world.names.remove(name).is_some()
    }

    /// Cuts a file behind the log's back, durably. `false` when it is not longer than that.
    pub fn shorten(&self, name: &str, length: u64) -> bool {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.with_inode(name, |inode| {
            let longer = inode.seen.len() > length;
            inode.seen.truncate(length);
            inode.durable.truncate(length);
            longer
        })
    }

    /// The bytes of a file as the process sees them.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let world = self.world();
        let inode = world.names.get(name)?;
        world.inodes.get(inode).map(|inode| inode.seen.clone())
    }

    /// The names of all files, in order. Counts as no call.
    pub fn files(&self) -> Vec<String> {
        self.world().names.keys().cloned().collect()
    }

    fn change(&self, name: &str, offset: u64, change: impl Fn(&mut u8)) -> bool {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        self.with_inode(name, |inode| {
            if let Some(byte) = inode.durable.get_mut(offset) {
                change(byte);
            }
            let seen = inode.seen.get_mut(offset);
            seen.map(change).is_some()
        })
    }

    fn with_inode(&self, name: &str, act: impl FnOnce(&mut Inode) -> bool) -> bool {
        let mut world = self.world();
        let Some(inode) = world.names.get(name).copied() else { return false };
        world.inodes.get_mut(&inode).is_some_and(act)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, and fails it when that is planned.
    fn call(&self, operation: Operation) -> io::Result<(MutexGuard<'_, World>, Turn)> {
        let mut world = self.world();
        if world.life != self.life {
            return Err(io::Error::other("this handle is from before a crash"));
        }
        let turn = world.turn(operation)?;
        Ok((world, turn))
    }
}

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Whole,
    Short,
    /// It is the last one before everything stops, and done in part.
    Last,
    Fails,
}

impl Turn {
    /// The error of a call that changes nothing by halves.
    fn or_error(self) -> io::Result<()> {
        match self {
            Self::Whole | Self::Short => Ok(()),
            Self::Last => Err(stopped()),
            Self::Fails => Err(io::Error::other("planned input/output error")),
        }
    }
}

fn stopped() -> io::Error {
    io::Error::other("the disk has stopped")
}

impl World {
    fn turn(&mut self, operation: Operation) -> io::Result<Turn> {
        self.operations_total += 1;
        let count = self.operations.entry(operation).or_default();
        *count += 1;
        let count = *count;
        match self.stop_at {
            Some(stop) if self.operations_total > stop => return Err(stopped()),
            Some(stop) if self.operations_total == stop => return Ok(Turn::Last),
            Some(_) | None => {}
        }
        let planned = self.planned.iter().position(|(kind, at, _)| (*kind, *at) == (operation, count));
        if let Some(planned) = planned {
            return match self.planned.swap_remove(planned).2 {
                Fault::Error => Ok(Turn::Fails),
                Fault::Short => Ok(Turn::Short),
                Fault::Full => Err(io::ErrorKind::StorageFull.into()),
                Fault::Interrupted => Err(io::ErrorKind::Interrupted.into()),
            };
        }
        let stutters = matches!(operation, Operation::Read | Operation::Write)
            && self.short_one_in.is_some_and(|n| self.random.below(n) == 0);
        match stutters {
            true if self.random.below(2) == 0 => Err(io::ErrorKind::Interrupted.into()),
            true => Ok(Turn::Short),
            false => Ok(Turn::Whole),
        }
    }

    fn used(&self) -> u64 {
        self.names
            .values()
            .filter_map(|inode| self.inodes.get(inode))
            .map(|inode| inode.seen.len() as u64)
            .sum()
    }

    fn has_room(&self, more: usize) -> bool {
        self.capacity.is_none_or(|capacity| self.used() + more as u64 <= capacity)
    }

    fn cut_power(&mut self) {
        for change in std::mem::take(&mut self.changes) {
            if self.random.below(2) == 0 {
                apply_change(&mut self.durable_names, change);
            }
        }
        self.names = self.durable_names.clone();
        for inode in self.inodes.values_mut() {
            for pending in std::mem::take(&mut inode.pending) {
                keep_some(&mut inode.durable, pending, &mut self.random);
            }
            inode.seen = inode.durable.clone();
        }
    }

    fn next_life(&mut self) {
        self.life += 1;
        self.stop_at = None;
        self.planned.clear();
        self.short_one_in = None;
        let named: Vec<u64> = self.names.values().chain(self.durable_names.values()).copied().collect();
        let pending: Vec<u64> = self
            .changes
            .iter()
            .filter_map(|change| match change {
                NameChange::Link(_, inode) => Some(*inode),
                NameChange::Rename(..) | NameChange::Unlink(_) => None,
            })
            .collect();
        self.inodes.retain(|inode, _| named.contains(inode) || pending.contains(inode));
    }

    fn inode(&mut self, inode: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&inode).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A sync that fails: some of it arrives, and the system forgets the rest.
    fn sync_badly(&mut self, inode: u64) -> io::Result<()> {
        let pending = std::mem::take(&mut self.inode(inode)?.pending);
        for pending in pending {
            let mut random = Random(self.random.next());
            keep_some(&mut self.inode(inode)?.durable, pending, &mut random);
        }
        Ok(())
    }
}

/// Applies an unsynced operation, or some of its sectors, or nothing of it.
fn keep_some(durable: &mut Vec<u8>, pending: Pending, random: &mut Random) {
    match (pending, random.below(3)) {
        (_, 0) => {}
        (Pending::Write { offset, bytes }, 1) => {
            let mut at = offset;
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let step = (SECTOR_BYTES - at % SECTOR_BYTES).min(rest.len());
                let (sector, after) = rest.split_at(step);
                if random.below(2) == 0 {
                    apply(durable, &Pending::Write { offset: at, bytes: sector.to_vec() });
                }
                at += step;
                rest = after;
            }
        }
        (pending, _) => apply(durable, &pending),
    }
}

fn apply(content: &mut Vec<u8>, pending: &Pending) {
    match pending {
        Pending::Write { offset, bytes } => {
            let end = offset + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset..end].copy_from_slice(bytes);
        }
        Pending::Length(length) => content.resize(*length, 0),
    }
}

fn apply_change(names: &mut BTreeMap<String, u64>, change: NameChange) {
    match change {
        NameChange::Link(name, inode) => {
            names.insert(name, inode);
        }
        NameChange::Rename(from, to) => {
            if let Some(inode) = names.remove(&from) {
                names.insert(to, inode);
            }
        }
        NameChange::Unlink(name) => {
            names.remove(&name);
        }
    }
}

impl Disk for FaultyDisk {
    type File = FaultyFile;

    fn describe(&self, name: &str) -> String {
        name.to_owned()
    }

    fn create(&self, name: &str) -> io::Result<FaultyFile> {
        let (mut world, turn) = self.call(Operation::Folder)?;
        if world.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        turn.or_error()?;
        let inode = world.next_inode;
        world.next_inode += 1;
        world.inodes.insert(inode, Inode::default());
        world.names.insert(name.to_owned(), inode);
        world.changes.push(NameChange::Link(name.to_owned(), inode));
        Ok(FaultyFile { disk: self.clone(), inode })
    }

    fn open(&self, name: &str) -> io::Result<FaultyFile> {
        let (world, turn) = self.call(Operation::Look)?;
        turn.or_error()?;
        let inode = world.names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(FaultyFile { disk: self.clone(), inode })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let (world, turn) = self.call(Operation::Look)?;
        turn.or_error()?;
        Ok(world.names.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (mut world, turn) = self.call(Operation::Folder)?;
        turn.or_error()?;
        let inode = world.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.names.insert(to.to_owned(), inode);
        world.changes.push(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (mut world, turn) = self.call(Operation::Folder)?;
        turn.or_error()?;
        world.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        world.changes.push(NameChange::Unlink(name.to_owned()));
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let (mut world, turn) = self.call(Operation::SyncFolder)?;
        turn.or_error()?;
        for change in std::mem::take(&mut world.changes) {
            apply_change(&mut world.durable_names, change);
        }
        Ok(())
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (mut world, turn) = self.disk.call(Operation::Read)?;
        let wanted = match turn {
            Turn::Short if buffer.len() > 1 => 1 + index(world.random.below(buffer.len() as u64 - 1)),
            Turn::Whole | Turn::Short | Turn::Last | Turn::Fails => buffer.len(),
        };
        turn.or_error()?;
        let seen = &world.inode(self.inode)?.seen;
        let rest = seen.get(index(offset)..).unwrap_or_default();
        let read = rest.len().min(wanted);
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let (mut world, turn) = self.disk.call(Operation::Write)?;
        if turn == Turn::Fails {
            turn.or_error()?;
        }
        let part = match turn {
            Turn::Short | Turn::Last if bytes.len() > 1 => {
                1 + index(world.random.below(bytes.len() as u64 - 1))
            }
            Turn::Whole | Turn::Short | Turn::Last | Turn::Fails => bytes.len(),
        };
        let offset = index(offset);
        let length = world.inode(self.inode)?.seen.len();
        let more = (offset + part).saturating_sub(length);
        if more > 0 && !world.has_room(more) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let pending = Pending::Write { offset, bytes: bytes[..part].to_vec() };
        let inode = world.inode(self.inode)?;
        apply(&mut inode.seen, &pending);
        inode.pending.push(pending);
        if turn == Turn::Last { Err(stopped()) } else { Ok(part) }
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let (mut world, turn) = self.disk.call(Operation::Resize)?;
        turn.or_error()?;
        let length = index(length);
        let more = length.saturating_sub(world.inode(self.inode)?.seen.len());
        if more > 0 {
            if !world.has_room(more) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let inode = world.inode(self.inode)?;
            inode.seen.resize(length, 0);
            inode.pending.push(Pending::Length(length));
        }
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let (mut world, turn) = self.disk.call(Operation::Resize)?;
        turn.or_error()?;
        let inode = world.inode(self.inode)?;
        inode.seen.resize(index(length), 0);
        inode.pending.push(Pending::Length(index(length)));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let (mut world, turn) = self.disk.call(Operation::Sync)?;
        if turn == Turn::Fails {
            world.sync_badly(self.inode)?;
        }
        turn.or_error()?;
        let inode = world.inode(self.inode)?;
        for pending in std::mem::take(&mut inode.pending) {
            apply(&mut inode.durable, &pending);
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let (mut world, turn) = self.disk.call(Operation::Look)?;
        turn.or_error()?;
        Ok(world.inode(self.inode)?.seen.len() as u64)
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// SplitMix64: small, and the same everywhere.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}
