//! The one checksum of every format here: CRC-32C (Castagnoli).

use crc_fast::{CrcAlgorithm, Digest};

/// The CRC-32C of `parts`, read as one run of bytes.
pub(crate) fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for part in parts {
        digest.update(part);
    }
    low_half(digest.finalize())
}

fn low_half(sum: u64) -> u32 {
    // A 32-bit algorithm leaves the upper half empty.
    u32::try_from(sum & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_published_check_value_comes_out() {
        assert_eq!(super::crc32c(&[b"12345", b"6789"]), 0xE306_9283);
    }
}
