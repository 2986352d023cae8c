//! Quarantine: setting damage aside, when the operator asked for it.
//!
//! The damaged file is kept whole under another name; what still holds in it takes its place, with holes
//! where records are lost. Nothing is ever deleted here.

use super::frame::{HEADER_BYTES, Header, Kind, NoHeader, Place, frame_bytes, push_frame};
use super::reader::SCAN_BLOCK;
use super::recovery::Damage;
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, name, slack_bytes, temporary_name};
use super::window::Window;
use crate::disk::{Disk, DiskFile, is_full, read_full, write_full};
use crate::{Epoch, LogError, Position};

/// What quarantine set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The file that was damaged or missing.
    pub file: String,
    /// Where its bytes are kept now; nothing when the file was missing.
    pub kept_as: Option<String>,
    /// The first bad byte.
    pub offset: u64,
    /// The first record that is lost.
    pub first: Position,
    /// The last record that is lost.
    pub last: Position,
    /// How many records are lost between them.
    pub records: u64,
}

/// Puts a copy of the segment without the damage in its place.
pub(crate) fn set_aside<D: Disk>(disk: &D, damage: &Damage) -> Result<Quarantined, LogError> {
    let what = format!("setting {} aside", disk.describe(&name(damage.segment)));
    repair(disk, damage).map_err(|error| {
        if is_full(&error) {
            LogError::Full { what: what.clone() }
        } else {
            LogError::fatal(what.clone(), &error)
        }
    })
}

fn repair<D: Disk>(disk: &D, damage: &Damage) -> std::io::Result<Quarantined> {
    let number = damage.segment;
    let damaged = disk.list()?.contains(&name(number));
    let kept_as = if damaged { Some(keep_copy(disk, &name(number))?) } else { None };
    let frames = if damaged { mend(disk, damage)? } else { Mended::hole(damage) };

    let temporary = temporary_name(number);
    if disk.list()?.contains(&temporary) {
        disk.remove(&temporary)?;
    }
    let file = disk.create(&temporary)?;
    let bytes = frames.encode(number);
    let file_bytes = (bytes.len() as u64 + slack_bytes(bytes.len() as u64)).next_multiple_of(8);
    file.allocate(file_bytes)?;
    let header = SegmentHeader { number, epoch: frames.epoch, first: frames.first, file_bytes };
    write_full(&file, &bytes, 0)?;
    write_full(&file, &header.encode(), 0)?;
    file.sync()?;
    disk.rename(&temporary, &name(number))?;
    disk.sync_folder()?;
    Ok(Quarantined {
        file: disk.describe(&name(number)),
        kept_as: kept_as.map(|kept| disk.describe(&kept)),
        offset: damage.offset,
        first: frames.lost_first.unwrap_or(damage.first),
        last: frames.lost_last,
        records: frames.lost,
    })
}

/// Keeps the bytes of a file under a new name, durably.
pub(crate) fn keep_copy<D: Disk>(disk: &D, from: &str) -> std::io::Result<String> {
    let names = disk.list()?;
    let mut number = 1_u32;
    let mut to = format!("{from}.quarantine-{number}");
    while names.contains(&to) {
        number += 1;
        to = format!("{from}.quarantine-{number}");
    }
    let source = disk.open(from)?;
    let target = disk.create(&to)?;
    let mut buffer = vec![0; SCAN_BLOCK];
    let mut offset = 0;
    loop {
        let read = read_full(&source, &mut buffer, offset)?;
        if read == 0 {
            break;
        }
        write_full(&target, buffer.get(..read).unwrap_or_default(), offset)?;
        offset += read as u64;
    }
    target.sync()?;
    disk.sync_folder()?;
    Ok(to)
}

/// The frames that take the place of a damaged segment.
struct Mended {
    epoch: Epoch,
    first: Position,
    next: Position,
    frames: Vec<(Header, Vec<u8>)>,
    lost: u64,
    lost_first: Option<Position>,
    lost_last: Position,
}

impl Mended {
    fn new(epoch: Epoch, first: Position) -> Self {
        let lost_last = first.previous();
        Self { epoch, first, next: first, frames: Vec::new(), lost: 0, lost_first: None, lost_last }
    }

    /// A segment that is missing as a whole.
    fn hole(damage: &Damage) -> Self {
        let mut mended = Self::new(damage.epoch, damage.first);
        mended.lose_up_to(damage.last);
        mended
    }

    fn lose_up_to(&mut self, last: Position) {
        while self.next <= last {
            let records = u32::try_from(last.0 - self.next.0 + 1).unwrap_or(u32::MAX);
            let header =
                Header::new(Kind::Hole, self.epoch, self.next, self.first.previous()).over(&[], records);
            self.lost += u64::from(records);
            self.lost_first = self.lost_first.or(Some(header.first));
            self.lost_last = header.last();
            self.next = header.last().next();
            self.frames.push((header, Vec::new()));
        }
    }

    fn keep(&mut self, header: &Header, payload: &[u8]) {
        self.lose_up_to(header.first.previous());
        self.next = header.last().next();
        self.frames.push((*header, payload.to_vec()));
    }

    fn encode(&self, number: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(SEGMENT_HEADER_BYTES).unwrap_or(usize::MAX)];
        for (header, payload) in &self.frames {
            let place = Place { segment: number, offset: bytes.len() as u64 };
            push_frame(&mut bytes, &Header { epoch: self.epoch, ..*header }, payload, place);
        }
        bytes
    }
}

/// Takes every sound frame of the damaged file, in order, and leaves holes between them.
fn mend<D: Disk>(disk: &D, damage: &Damage) -> std::io::Result<Mended> {
    let number = damage.segment;
    let file = disk.open(&name(number))?;
    let length = file.length()?;
    let mut window = Window::new(file, SCAN_BLOCK);
    let mut mended = Mended::new(damage.epoch, damage.segment_first);
    let mut offset = SEGMENT_HEADER_BYTES;
    while offset < length {
        let place = Place { segment: number, offset };
        let step = match Header::decode(window.get(offset, HEADER_BYTES)?, place) {
            Ok(header) if header.frame_bytes() <= length - offset => {
                let payload = window.get(offset + HEADER_BYTES as u64, header.payload_bytes())?;
                let sound = header.vouches_for(payload) && header.epoch == damage.epoch;
                // Above the mark only what follows without a break was ever promised an order.
                let wanted = header.first >= mended.next
                    && (header.last() <= damage.last || header.first == mended.next);
                if sound && wanted && matches!(header.kind, Kind::Records | Kind::Hole) {
                    mended.keep(&header, payload);
                }
                if sound { header.frame_bytes() } else { frame_step() }
            }
            Ok(_) | Err(NoHeader::Bad | NoHeader::Newer(_)) => frame_step(),
        };
        offset += step;
    }
    mended.lose_up_to(damage.last);
    Ok(mended)
}

/// To the next place where a frame may start.
fn frame_step() -> u64 {
    frame_bytes(0) - HEADER_BYTES as u64 + super::frame::ALIGN as u64
}
