//! A window over a file: one buffer that slides forward, so reading a segment allocates once.

use std::io;

use crate::disk::{DiskFile, read_full};

/// The bytes of a file from a moving place on.
#[derive(Debug)]
pub(crate) struct Window<F> {
    file: F,
    block: usize,
    buffer: Vec<u8>,
    start: u64,
    held: usize,
}

impl<F: DiskFile> Window<F> {
    /// A window that reads `block` bytes at a time.
    pub(crate) fn new(file: F, block: usize) -> Self {
        Self { file, block, buffer: Vec::new(), start: 0, held: 0 }
    }

    /// The `length` bytes at `offset`; fewer at the end of the file.
    pub(crate) fn get(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        if self.held_from(offset) < length {
            let wanted = length.max(self.block);
            if self.buffer.len() < wanted {
                self.buffer.resize(wanted, 0);
            }
            self.start = offset;
            self.held = 0;
            self.held = read_full(&self.file, self.buffer.get_mut(..wanted).unwrap_or_default(), offset)?;
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX).min(self.held);
        let to = from.saturating_add(length).min(self.held);
        Ok(self.buffer.get(from..to).unwrap_or_default())
    }

    /// How many bytes from `offset` on are held already.
    pub(crate) fn held_from(&self, offset: u64) -> usize {
        let Some(skip) = offset.checked_sub(self.start) else { return 0 };
        self.held.saturating_sub(usize::try_from(skip).unwrap_or(usize::MAX))
    }

    /// The bytes that are held at `offset`, at most `length`; reads nothing.
    pub(crate) fn peek(&self, offset: u64, length: usize) -> &[u8] {
        let held = self.held_from(offset);
        let from = self.held - held;
        self.buffer.get(from..from + held.min(length)).unwrap_or_default()
    }
}
