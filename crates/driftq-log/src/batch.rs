//! A batch: records laid back to back, ready to be one frame.
//!
//! The buffer is kept over `clear`, so a writer that reuses one batch allocates nothing per record.

/// The bytes before each record that say how long it is.
pub(crate) const RECORD_PREFIX: usize = 4;

/// Opaque records in order, which are appended together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    encoded: Vec<u8>,
    records: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the records and keeps the buffer.
    pub fn clear(&mut self) {
        self.encoded.clear();
        self.records = 0;
    }

    /// Adds a record.
    ///
    /// # Panics
    /// When the record is 4 GiB or longer.
    pub fn push(&mut self, record: &[u8]) {
        self.push_with(|buffer| buffer.extend_from_slice(record));
    }

    /// Adds the record that `encode` appends to the buffer.
    ///
    /// # Panics
    /// When `encode` takes bytes away instead, or appends 4 GiB or more.
    pub fn push_with(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let prefix = self.encoded.len();
        self.encoded.extend_from_slice(&[0; RECORD_PREFIX]);
        let start = self.encoded.len();
        encode(&mut self.encoded);
        let length = self.encoded.len().checked_sub(start).expect("an encoder only appends");
        let length = u32::try_from(length).expect("a record is shorter than 4 GiB");
        self.encoded[prefix..start].copy_from_slice(&length.to_le_bytes());
        self.records += 1;
    }

    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.records
    }

    /// Whether it holds no record.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The bytes of all records together, without what the log adds.
    pub fn bytes(&self) -> usize {
        self.encoded.len() - self.records * RECORD_PREFIX
    }

    /// The records in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        Records::new(&self.encoded)
    }

    /// The payload of the frame.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }
}

/// The records of a payload, in order; ends early when the lengths in it do not add up.
#[derive(Clone, Debug)]
pub(crate) struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (prefix, rest) = self.rest.split_first_chunk::<RECORD_PREFIX>()?;
        let length = usize::try_from(u32::from_le_bytes(*prefix)).ok()?;
        let (record, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were_pushed() {
        let mut batch = Batch::new();
        batch.push(b"one");
        batch.push(b"");
        batch.push_with(|buffer| buffer.extend_from_slice(b"three"));
        assert_eq!(batch.iter().collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
        assert_eq!((batch.len(), batch.bytes()), (3, 8));
        batch.clear();
        assert!(batch.is_empty());
        assert_eq!(batch.bytes(), 0);
    }

    #[test]
    fn lengths_that_do_not_add_up_end_the_records() {
        assert_eq!(Records::new(&[9, 0, 0, 0, 1]).count(), 0);
        assert_eq!(Records::new(&[1, 0]).count(), 0);
    }
}
