//! Opening: what of the log holds, what is cut, what is damage.
//!
//! Nothing changes before the judgement is made. Then one new segment takes everything that no mark proves
//! to be on the disk, is synced, and takes its place by one rename; a crash at any moment leaves the state
//! before or the state after, and opening again does the same.

use std::io;
use std::sync::Arc;

use super::frame::{Header, Kind, Place, push_frame};
use super::judge::{Chain, judge};
use super::manifest::{self, Facts, Found, Manifest};
use super::reader::{Shared, Walk};
use super::scan::{Examined, examine};
use super::segment::{
    Extent, SEGMENT_HEADER_BYTES, Segment, SegmentHeader, file_length, is_temporary, name, number_of,
    slack_bytes, temporary_name,
};
use super::space::{Spares, Supply};
use super::{Quarantined, Recovered, SEGMENT_BYTES_MIN, Wal, WalOptions, quarantine};
use crate::disk::{Disk, DiskFile, is_full, write_full};
use crate::{Epoch, LogError, Position};

/// How much of the copied frames is written at a time.
const COPY_BYTES: usize = 1 << 20;

/// Damage below the durable mark: where it is, and what is lost with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) segment: u64,
    pub(crate) epoch: Epoch,
    /// The first position of that segment.
    pub(crate) segment_first: Position,
    pub(crate) offset: u64,
    pub(crate) end: u64,
    pub(crate) first: Position,
    pub(crate) last: Position,
}

/// Opens the log on `disk`.
pub(crate) fn recover<D: Disk>(disk: D, options: &WalOptions) -> Result<(Wal<D>, Recovered), LogError> {
    let mut recovered = Recovered::default();
    let (manifest, chain) = settle(&disk, options, &mut recovered)?;
    Opening { disk, manifest, chain, recovered }.finish(options)
}

/// The manifest, if there is one, and the log that was judged sound.
type Settled<F> = (Option<Manifest<F>>, Chain);

/// Reads until the log can be judged sound; with the quarantine flag, damage is set aside on the way.
fn settle<D: Disk>(
    disk: &D,
    options: &WalOptions,
    recovered: &mut Recovered,
) -> Result<Settled<D::File>, LogError> {
    let manifest = load_manifest(disk, options, recovered)?;
    let facts = manifest.as_ref().map(|manifest| manifest.facts);
    // Each round mends one segment; a segment is mended once.
    let mut mended: Vec<u64> = Vec::new();
    loop {
        let mut numbers: Vec<u64> = names(disk)?.iter().filter_map(|name| number_of(name)).collect();
        numbers.sort_unstable();
        let examined = examine_all(disk, &numbers, options)?;
        let damage = match judge(disk, examined, facts, options.proven)? {
            Ok(chain) => return Ok((manifest, chain)),
            Err(damage) => damage,
        };
        if !options.quarantine || mended.contains(&damage.segment) {
            return Err(LogError::Corrupt {
                file: disk.describe(&name(damage.segment)),
                offset: damage.offset,
                end: damage.end,
                first: damage.first,
                last: damage.last,
            });
        }
        mended.push(damage.segment);
        recovered.quarantined.push(quarantine::set_aside(disk, &damage)?);
    }
}

fn load_manifest<D: Disk>(
    disk: &D,
    options: &WalOptions,
    recovered: &mut Recovered,
) -> Result<Option<Manifest<D::File>>, LogError> {
    let used = names(disk)?.iter().any(|name| number_of(name).is_some());
    match Manifest::load(disk)? {
        Found::Sound(manifest) => return Ok(Some(manifest)),
        // A first start that did not get to its end left it so.
        Found::Missing | Found::Unreadable if !used => return Ok(None),
        Found::Missing | Found::Unreadable => {}
    }
    let file = disk.describe(manifest::NAME);
    if !options.quarantine {
        let (first, last) = (Position(1), options.proven);
        return Err(LogError::Corrupt { file, offset: 0, end: 0, first, last });
    }
    let fatal = |error: io::Error| LogError::fatal(format!("setting {file} aside"), &error);
    let kept_as = if names(disk)?.iter().any(|name| name == manifest::NAME) {
        Some(quarantine::keep_copy(disk, manifest::NAME).map_err(fatal)?)
    } else {
        None
    };
    recovered.quarantined.push(Quarantined {
        file: file.clone(),
        kept_as: kept_as.map(|kept| disk.describe(&kept)),
        offset: 0,
        first: Position(1),
        last: Position(0),
        records: 0,
    });
    Ok(None)
}

fn names<D: Disk>(disk: &D) -> Result<Vec<String>, LogError> {
    disk.list().map_err(|error| LogError::fatal("listing the data folder", &error))
}

fn examine_all<D: Disk>(disk: &D, numbers: &[u64], options: &WalOptions) -> Result<Vec<Examined>, LogError> {
    let newest = numbers.last().copied();
    for number in numbers {
        options.progress.expect(length_of(disk, *number)?);
    }
    numbers
        .iter()
        .map(|&number| {
            let trusted =
                if options.check_all || newest == Some(number) { Position(0) } else { options.proven };
            let examined = examine(disk, number, trusted)?;
            options.progress.add(examined.length);
            Ok(examined)
        })
        .collect()
}

fn length_of<D: Disk>(disk: &D, number: u64) -> Result<u64, LogError> {
    let fatal = |error| LogError::fatal(format!("opening {}", disk.describe(&name(number))), &error);
    file_length(disk, &disk.open(&name(number)).map_err(fatal)?, number)
}

/// A log that was judged sound, on its way to being open.
struct Opening<D: Disk> {
    disk: D,
    manifest: Option<Manifest<D::File>>,
    chain: Chain,
    recovered: Recovered,
}

/// The new segment, in its place and durable.
struct Started<F> {
    header: SegmentHeader,
    file: F,
    extent: Extent,
}

impl<D: Disk> Opening<D> {
    fn finish(mut self, options: &WalOptions) -> Result<(Wal<D>, Recovered), LogError> {
        let file_bytes = options.segment_bytes.max(SEGMENT_BYTES_MIN).next_multiple_of(8);
        let reserve = usize::try_from(options.reserve_bytes.div_ceil(file_bytes)).unwrap_or(usize::MAX);
        let fatal = |error: io::Error| open_error("preparing the data folder", &error);
        let mut manifest = self.own_manifest().map_err(fatal)?;
        self.remove_leftovers().map_err(fatal)?;
        let mut spares =
            Spares::take_stock(&self.disk, &names(&self.disk)?, file_bytes, reserve).map_err(fatal)?;
        let epoch = Epoch(manifest.facts.epoch.max(self.chain.epoch).0.saturating_add(1));
        let number = manifest.facts.newest.max(self.chain.newest) + 1;
        let started = self.start(number, epoch, &mut spares)?;
        let (oldest, synced_to) = (self.chain.first, self.chain.last);
        let facts = Facts { epoch, newest: number, oldest, synced_to, ..manifest.facts };
        manifest.write(facts).map_err(fatal)?;
        self.chain.cut_to_proven(&self.disk)?;
        self.clear_up();
        // Without the reserve the log works; growth is refused until it can be had.
        if spares.fill(&self.disk, reserve).map_err(fatal)? == Supply::Full {
            self.recovered.warnings.push("the disk is full: there is no room for the reserve".to_owned());
        }
        Ok(self.wal(manifest, spares, started))
    }

    /// The manifest, durable for sure: what was read may be known to the page cache alone.
    fn own_manifest(&mut self) -> io::Result<Manifest<D::File>> {
        let Some(mut manifest) = self.manifest.take() else {
            let facts = Facts { oldest: self.chain.first, ..Facts::default() };
            return Manifest::create(&self.disk, facts);
        };
        manifest.write(manifest.facts)?;
        self.disk.sync_folder()?;
        Ok(manifest)
    }

    fn wal(
        mut self,
        manifest: Manifest<D::File>,
        spares: Spares<D::File>,
        started: Started<D::File>,
    ) -> (Wal<D>, Recovered) {
        let Started { header, file, extent } = started;
        let (last, offset) = (self.chain.last, extent.end);
        let current = Arc::new(Segment::new(&header, header.file_bytes, extent));
        let mut segments: Vec<Arc<Segment>> = self.chain.segments().map(Arc::new).collect();
        segments.push(Arc::clone(&current));
        let recovered = &mut self.recovered;
        recovered.epoch = header.epoch;
        recovered.first = segments.first().map_or(header.first, |segment| segment.first);
        recovered.last = last;
        recovered.records = (last.0 + 1).saturating_sub(recovered.first.0 + self.chain.holes);
        recovered.frames = segments.iter().map(|segment| segment.extent().frames).sum();
        recovered.cut_bytes = self.chain.cut_bytes;
        recovered.voided_frames = self.chain.voided_frames;
        recovered.clean = self.chain.clean;
        let shared = Arc::new(Shared::new(self.disk, segments));
        shared.keep_open(header.number, file.clone());
        let wal = Wal {
            shared,
            manifest,
            spares,
            epoch: header.epoch,
            current,
            file,
            offset,
            last,
            durable: last,
            marked: last,
            mark_written: last,
            granted: 0,
            failed: None,
            scratch: Vec::new(),
        };
        (wal, self.recovered)
    }

    /// Removes what a crash in an earlier opening left before it took its place.
    fn remove_leftovers(&self) -> io::Result<()> {
        for name in self.disk.list()?.iter().filter(|name| is_temporary(name)) {
            self.disk.remove(name)?;
        }
        Ok(())
    }

    /// Makes the new segment with everything above the proven mark in it, durable under its own name.
    fn start(
        &mut self,
        number: u64,
        epoch: Epoch,
        spares: &mut Spares<D::File>,
    ) -> Result<Started<D::File>, LogError> {
        let first = self.chain.proven.next();
        let content = SEGMENT_HEADER_BYTES + self.chain.unproven_bytes();
        let roomy = content + slack_bytes(content + slack_bytes(content));
        let file_bytes = spares.file_bytes.max(roomy.next_multiple_of(8));
        let temporary = temporary_name(number);
        let fatal = |error: io::Error| open_error("starting a segment", &error);
        let file =
            match self.disk.create(&temporary).and_then(|file| file.allocate(file_bytes).map(|()| file)) {
                Ok(file) => file,
                Err(error) if is_full(&error) && spares.count() > 0 && file_bytes <= spares.file_bytes => {
                    self.disk.remove(&temporary).map_err(fatal)?;
                    let full = || LogError::Full { what: "no room to open the log".to_owned() };
                    spares.take(&self.disk, &temporary).map_err(fatal)?.ok_or_else(full)?
                }
                Err(error) => {
                    let _ = self.disk.remove(&temporary);
                    return Err(fatal(error));
                }
            };
        let header = SegmentHeader { number, epoch, first, file_bytes };
        let extent = self.copy_unproven(&header, &file)?;
        write_full(&file, &header.encode(), 0).map_err(fatal)?;
        file.sync().map_err(fatal)?;
        self.disk.rename(&temporary, &name(number)).map_err(fatal)?;
        self.disk.sync_folder().map_err(fatal)?;
        Ok(Started { header, file, extent })
    }

    fn copy_unproven(&mut self, header: &SegmentHeader, file: &D::File) -> Result<Extent, LogError> {
        let proven = self.chain.proven;
        let fatal = |error: io::Error| open_error("writing unproven records again", &error);
        let mut extent = Extent::empty(header.first);
        let mut buffer = Vec::new();
        let mut written = SEGMENT_HEADER_BYTES;
        let shared = Shared::new(self.disk.clone(), Vec::new());
        for segment in self.chain.unproven_segments() {
            let mut walk = Walk::of(&shared, &segment, proven.next())?;
            while let Some((old, payload)) = walk.next()? {
                if old.last() <= proven || !matches!(old.kind, Kind::Records | Kind::Hole) {
                    continue;
                }
                let offset = written + buffer.len() as u64;
                let copy = Header { epoch: header.epoch, synced_to: proven, ..old };
                push_frame(&mut buffer, &copy, payload, Place { segment: header.number, offset });
                extent.add(&copy, offset);
                self.recovered.rewritten_frames += 1;
                if buffer.len() >= COPY_BYTES {
                    write_full(file, &buffer, written).map_err(fatal)?;
                    written += buffer.len() as u64;
                    buffer.clear();
                }
            }
        }
        write_full(file, &buffer, written).map_err(fatal)?;
        Ok(extent)
    }

    /// Frees what no longer holds a record, and the room held in advance in what does. Nothing of it is
    /// needed for being right, so what does not work is said and left to the next start.
    fn clear_up(&mut self) {
        let (disk, chain) = (&self.disk, &self.chain);
        let removed = chain.removable().try_for_each(|number| disk.remove(&name(number)));
        let trimmed =
            chain.trimmable().try_for_each(|(number, used)| disk.open(&name(number))?.truncate(used));
        let done = removed.and(trimmed).and_then(|()| disk.sync_folder());
        if let Err(error) = done {
            self.recovered.warnings.push(format!("unused space could not be freed: {error}"));
        }
    }
}

fn open_error(what: &str, error: &io::Error) -> LogError {
    if is_full(error) { LogError::Full { what: what.to_owned() } } else { LogError::fatal(what, error) }
}
