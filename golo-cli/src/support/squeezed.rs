//! Compression of records, on the wire and on disk.

use std::io;

/// Level of compression: fast enough for each second of a run.
const LEVEL: i32 = 1;

/// Compresses bytes with zstd.
///
/// # Errors
///
/// Returns an error if the library has no memory.
pub fn squeeze(bytes: &[u8]) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(bytes, LEVEL)
}

/// Reverses [`squeeze`].
///
/// ```
/// use golo_cli::support::squeezed::{squeeze, unsqueeze};
///
/// let squeezed = squeeze(&[7; 1000])?;
/// assert!(squeezed.len() < 100);
/// assert_eq!(unsqueeze(&squeezed, 1000)?, [7; 1000]);
/// assert!(unsqueeze(&squeezed, 999).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// Returns an error if the bytes are not the result of [`squeeze`], or the result has more than `most` bytes. No more memory is
/// used than that.
pub fn unsqueeze(bytes: &[u8], most: usize) -> io::Result<Vec<u8>> {
    // A wrong length in the frame must not reserve more.
    let claimed = zstd::bulk::Decompressor::upper_bound(bytes).unwrap_or(most);
    zstd::bulk::decompress(bytes, claimed.min(most))
}
