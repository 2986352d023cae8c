//! Torn or rotten: the judgement over what was found, by proof alone.
//!
//! A bad frame at position p is damage if anything sound proves that p was durable: a later frame's mark, the
//! header of a later segment, a closing mark, the manifest, or what the caller knows. Otherwise it is a torn
//! tail. A sound frame behind a bad one proves nothing by being there.

use super::manifest::Facts;
use super::recovery::Damage;
use super::scan::{Examined, cut};
use super::segment::{SEGMENT_HEADER_BYTES, Segment};
use crate::disk::Disk;
use crate::{Epoch, LogError, Position};

/// A log without damage: the segments that hold it, in order.
#[derive(Debug)]
pub(crate) struct Chain {
    /// The first position that is there.
    pub(crate) first: Position,
    /// The last position that is there.
    pub(crate) last: Position,
    /// The last position that is on the disk for sure.
    pub(crate) proven: Position,
    pub(crate) holes: u64,
    pub(crate) clean: bool,
    pub(crate) cut_bytes: u64,
    pub(crate) voided_frames: u64,
    /// The newest epoch and the greatest segment number that were found.
    pub(crate) epoch: Epoch,
    pub(crate) newest: u64,
    live: Vec<Examined>,
    /// Segments that hold nothing, or only what was released.
    dead: Vec<u64>,
}

impl Chain {
    /// Lets go of what lies above the proven mark, once it is elsewhere.
    pub(crate) fn cut_to_proven<D: Disk>(&mut self, disk: &D) -> Result<(), LogError> {
        for found in &mut self.live {
            cut(disk, found, self.proven)?;
        }
        Ok(())
    }

    /// The segments that hold records.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment> {
        self.live.iter().filter(|found| !is_empty(found)).filter_map(as_segment)
    }

    /// The segments that hold records above the proven mark.
    pub(crate) fn unproven_segments(&self) -> Vec<Segment> {
        self.live.iter().filter(|found| found.extent.last > self.proven).filter_map(as_segment).collect()
    }

    /// An upper bound of the bytes of their frames.
    pub(crate) fn unproven_bytes(&self) -> u64 {
        let unproven = self.live.iter().filter(|found| found.extent.last > self.proven);
        unproven
            .map(|found| found.extent.end.saturating_sub(found.extent.around(self.proven.next()).0.offset))
            .sum()
    }

    /// Segments that can go: they were released, or all they held is elsewhere.
    pub(crate) fn removable(&self) -> impl Iterator<Item = u64> {
        let emptied = self.live.iter().filter(|found| is_empty(found) && found.rest == 0);
        self.dead.iter().copied().chain(emptied.map(|found| found.number))
    }

    /// Segments with room that will never be used, and where that begins.
    pub(crate) fn trimmable(&self) -> impl Iterator<Item = (u64, u64)> {
        let kept = self.live.iter().filter(|found| !(found.sealed || is_empty(found) && found.rest == 0));
        let ends = kept.map(|found| (found, found.used.next_multiple_of(8)));
        ends.filter(|(found, end)| found.length > *end).map(|(found, end)| (found.number, end))
    }
}

fn is_empty(found: &Examined) -> bool {
    found.header.is_none_or(|header| found.extent.last < header.first)
}

fn as_segment(found: &Examined) -> Option<Segment> {
    let header = found.header?;
    Some(Segment::new(&header, found.length, found.extent.clone()))
}

/// Judges what was found. `facts` is what the manifest says, `told` a position that the caller knows to have
/// been durable.
pub(crate) fn judge<D: Disk>(
    disk: &D,
    found: Vec<Examined>,
    facts: Option<Facts>,
    told: Position,
) -> Result<Result<Chain, Damage>, LogError> {
    let headers = || found.iter().filter_map(|found| found.header);
    let earliest = headers().next().map_or(Position(1), |header| header.first);
    let oldest = facts.map_or(earliest, |facts| facts.oldest).max(Position(1));
    // The log starts in the last segment that begins at or below the oldest position; what is before was
    // released, and only its removal did not get to its end.
    let start = headers().filter(|header| header.first <= oldest).map(|header| header.number).next_back();
    let first = headers().find(|header| Some(header.number) == start).map_or(oldest, |header| header.first);
    let proves = found.iter().map(|found| found.proves).max().unwrap_or_default();
    let newest = found.iter().map(|found| found.number).max().unwrap_or_default();
    let epoch = found.iter().map(|found| found.epoch).max().unwrap_or_default();
    let mut judging = Judging {
        disk,
        live: Vec::new(),
        dead: Vec::new(),
        end: Vec::new(),
        last: first.previous(),
        voided: 0,
    };
    for found in found {
        if start.is_some_and(|start| found.number < start) {
            judging.dead.push(found.number);
        } else if let Some(damage) = judging.take(found)? {
            return Ok(Err(damage));
        }
    }
    let said = facts.map_or(Position(0), |facts| facts.synced_to);
    let proven = proves.max(told).max(said).max(first.previous());
    if let Some(damage) = judging.at_the_end(proven, newest, facts) {
        return Ok(Err(damage));
    }
    judging.chain(first, proven, epoch, newest).map(Ok)
}

struct Judging<'a, D: Disk> {
    disk: &'a D,
    live: Vec<Examined>,
    dead: Vec<u64>,
    /// Segments behind the last live one, without a header: torn, or damaged.
    end: Vec<Examined>,
    last: Position,
    voided: u64,
}

impl<D: Disk> Judging<'_, D> {
    /// Takes in the next segment; damage, if it proves that something before it is missing.
    fn take(&mut self, found: Examined) -> Result<Option<Damage>, LogError> {
        self.voided += found.stale_frames;
        let Some(header) = found.header else {
            if found.is_blank() && !found.is_cut_short() {
                self.dead.push(found.number);
            } else {
                self.end.push(found);
            }
            return Ok(None);
        };
        let epoch = self.live.iter().filter_map(|found| found.header).map(|header| header.epoch).max();
        if epoch.is_some_and(|epoch| header.epoch < epoch) {
            // The whole segment is a fenced writer's.
            self.voided += found.extent.frames;
            return Ok(None);
        }
        let next = self.last.next();
        if header.first > next || (epoch == Some(header.epoch) && header.first != next) {
            let last = header.first.previous().max(next);
            return Ok(Some(self.missing(next.min(header.first), last, Some(found.number))));
        }
        // A new epoch's header is the barrier: what older segments hold from its first position on is void.
        for older in &mut self.live {
            self.voided += cut(self.disk, older, header.first.previous())?;
            older.clean = false;
        }
        self.end.clear();
        self.last = found.extent.last;
        self.live.push(found);
        Ok(None)
    }

    /// Damage at the end: positions that are proven and not there, or a file that is shorter than it was made.
    fn at_the_end(&self, proven: Position, newest: u64, facts: Option<Facts>) -> Option<Damage> {
        let next = self.last.next();
        let named = facts.map_or(0, |facts| facts.newest);
        if named > newest {
            return Some(self.absent(named, next, proven.max(self.last)));
        }
        let short = self.end.iter().chain(self.live.last()).any(Examined::is_cut_short);
        (proven > self.last || short).then(|| self.missing(next, proven.max(self.last), None))
    }

    /// The most likely place of what is missing: behind a break, or in a file that is not there.
    fn missing(&self, first: Position, last: Position, before: Option<u64>) -> Damage {
        if let Some(found) = self.end.iter().find(|found| !found.is_blank() || found.is_cut_short()) {
            return Damage {
                segment: found.number,
                // With nothing sound in it, it counts with the segment before.
                epoch: self.live.last().map_or(Epoch(0), |live| live.epoch).max(found.epoch),
                segment_first: first,
                offset: 0,
                end: found.used.max(SEGMENT_HEADER_BYTES),
                first,
                last,
            };
        }
        let Some(found) = self.live.last() else {
            return self.absent(before.map_or(1, |before| before.saturating_sub(1)), first, last);
        };
        let gap = before.is_some_and(|before| before > found.number + 1);
        if gap && found.rest == 0 && !found.is_cut_short() {
            return self.absent(before.map_or(1, |before| before - 1), first, last);
        }
        let segment_first = found.header.map_or(first, |header| header.first);
        Damage {
            segment: found.number,
            epoch: found.epoch,
            segment_first,
            offset: found.extent.end,
            end: found.used.max(found.extent.end),
            first,
            last,
        }
    }

    fn absent(&self, segment: u64, first: Position, last: Position) -> Damage {
        let epoch = self.live.last().map_or(Epoch(0), |found| found.epoch);
        Damage { segment, epoch, segment_first: first, offset: 0, end: 0, first, last }
    }

    fn chain(
        mut self,
        first: Position,
        proven: Position,
        epoch: Epoch,
        newest: u64,
    ) -> Result<Chain, LogError> {
        // A position inside a frame: the whole frame counts as unproven, and is written again.
        let mut proven = proven;
        if let Some(found) = self.live.iter().find(|found| found.extent.last > proven) {
            let mut kept = found.clone();
            cut(self.disk, &mut kept, proven)?;
            proven = proven.min(kept.extent.last);
        }
        let torn = self.live.last().map_or(0, |found| found.rest);
        let cut_bytes = torn + self.end.iter().map(|found| found.used).sum::<u64>();
        let clean = cut_bytes == 0 && self.live.last().is_none_or(|found| found.clean);
        let last = self.last;
        let holes = self.live.iter().map(|found| found.holes).sum();
        self.live.retain(|found| found.header.is_some());
        Ok(Chain {
            first,
            last,
            proven,
            holes,
            clean,
            cut_bytes,
            voided_frames: self.voided,
            epoch,
            newest,
            live: self.live,
            dead: self.dead,
        })
    }
}
