//! Compression of records, in the store and on the wire: one zstd frame with its length and a checksum.

use std::io;

use zstd::bulk::{Compressor, Decompressor};

/// Compression level: the default of zstd.
const LEVEL: i32 = 3;

/// Error of [`unsqueeze`].
#[derive(Debug, thiserror::Error)]
pub enum UnsqueezeError {
    /// The bytes are not one whole zstd frame that begins with its length.
    #[error("{0} bytes that are not compressed with zstd, or are cut off")]
    NotSqueezed(usize),
    /// The content is larger than allowed.
    #[error("compressed content of {length} bytes: expected at most {most}")]
    TooLarge {
        /// Length of the content in bytes.
        length: u64,
        /// Maximum length in bytes.
        most: usize,
    },
    /// The content cannot be restored.
    #[error("compressed content of {0} bytes that is damaged")]
    Damaged(u64, #[source] io::Error),
}

/// Compresses bytes.
///
/// # Panics
///
/// Panics if there is no memory for the result.
#[must_use]
pub fn squeeze(bytes: &[u8]) -> Vec<u8> {
    let squeezed = Compressor::new(LEVEL).and_then(|mut compressor| {
        compressor.include_checksum(true)?;
        compressor.compress(bytes)
    });
    #[expect(
        clippy::expect_used,
        reason = "into a vector with room for the longest result, only memory can be missing"
    )]
    let mut squeezed = squeezed.expect("memory to compress");
    squeezed.shrink_to_fit();
    squeezed
}

/// Restores what [`squeeze`] has compressed, if it has at most `most` bytes. Takes no more memory than that, whatever the
/// bytes are.
///
/// # Errors
///
/// Returns an error if the content is longer, or if the bytes are not the result of [`squeeze`].
pub fn unsqueeze(squeezed: &[u8], most: usize) -> Result<Vec<u8>, UnsqueezeError> {
    let not_squeezed = || UnsqueezeError::NotSqueezed(squeezed.len());
    // The length of a frame is optional. Further frames could follow.
    let length = zstd::zstd_safe::get_frame_content_size(squeezed).ok().flatten().ok_or_else(not_squeezed)?;
    if zstd::zstd_safe::find_frame_compressed_size(squeezed) != Ok(squeezed.len()) {
        return Err(not_squeezed());
    }
    let room = usize::try_from(length).ok().filter(|length| *length <= most);
    let room = room.ok_or(UnsqueezeError::TooLarge { length, most })?;
    let restored = Decompressor::new().and_then(|mut decompressor| decompressor.decompress(squeezed, room));
    restored.map_err(|error| UnsqueezeError::Damaged(length, error))
}

#[cfg(test)]
mod tests {
    use golo::cli::chain;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn squeezed_bytes_are_restored(bytes in prop::collection::vec(0..4u8, 0..5000)) {
            let squeezed = squeeze(&bytes);
            prop_assert!(bytes.len() < 1000 || squeezed.len() < bytes.len() / 2);
            prop_assert_eq!(unsqueeze(&squeezed, bytes.len()).unwrap(), bytes);
        }

        #[test]
        fn arbitrary_and_changed_bytes_are_errors(bytes in prop::collection::vec(any::<u8>(), 0..100), at in 0..100usize) {
            prop_assert!(unsqueeze(&bytes, 1000).is_err());
            let mut changed = squeeze(&bytes);
            let at = at % changed.len();
            changed[at] ^= 0x10;
            // zstd ignores some bits.
            prop_assert!(unsqueeze(&changed, 1000).map_or(true, |restored| restored == bytes));
        }
    }

    #[test]
    fn content_that_is_larger_than_allowed_is_refused_before_it_is_restored() {
        let bomb = squeeze(&vec![0; 100 << 20]);
        assert!(bomb.len() < 20_000);
        let error = unsqueeze(&bomb, 16 << 20).unwrap_err();
        assert_eq!(error.to_string(), "compressed content of 104857600 bytes: expected at most 16777216");
        // A frame that claims to be shorter.
        let mut lying = bomb;
        assert_eq!(lying[4] & 0b1100_0000, 0b1000_0000, "the length has four bytes");
        let at = if lying[4] & 0b10_0000 == 0 { 6 } else { 5 };
        lying[at..at + 4].copy_from_slice(&1000_u32.to_le_bytes());
        assert!(matches!(unsqueeze(&lying, 16 << 20), Err(UnsqueezeError::Damaged(1000, _))));
    }

    #[test]
    fn cut_off_changed_and_appended_bytes_are_errors() {
        let bytes: Vec<u8> = (0..10_000_u32).flat_map(|number| (number * number).to_le_bytes()).collect();
        let squeezed = squeeze(&bytes);
        for wrong in [&squeezed[..squeezed.len() - 1], &[&squeezed[..], b"x"].concat(), &squeezed.repeat(2), b""] {
            let error = unsqueeze(wrong, 1 << 20).unwrap_err();
            let expected = format!("{} bytes that are not compressed with zstd, or are cut off", wrong.len());
            assert_eq!(error.to_string(), expected);
        }
        let mut changed = squeezed.clone();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        let error = chain(&unsqueeze(&changed, 1 << 20).unwrap_err());
        assert!(error.starts_with("compressed content of 40000 bytes that is damaged: "), "{error}");
    }
}
