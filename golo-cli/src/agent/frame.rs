//! A record as the spool has it on disk: its length, the same once more with every bit turned, so that a length that is
//! damaged is not taken for one, a checksum, and the record.

use std::io::{self, Read as _};

use golo_proto::results::{Record, record};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

/// Bytes before each record.
pub(super) const HEAD: usize = 12;

/// What is at a place of a spool.
pub(super) enum Found {
    /// A record, so many bytes with its head.
    Record { size: u64, is_last: bool },
    /// Nothing: it ends here.
    End,
    /// A record that is not there to its end, as where the power went while it was written.
    Torn,
    /// What was never written like this.
    Damaged,
}

/// A record as it is written.
///
/// # Errors
///
/// Where it is longer than a record can be.
pub(super) fn written(record: &Record) -> io::Result<Vec<u8>> {
    let record = record.encode_to_vec();
    let length = u32::try_from(record.len()).map_err(io::Error::other)?.to_le_bytes();
    Ok([&length, &length.map(|byte| !byte), &checksum(&record), &record[..]].concat())
}

/// Reads what comes next.
///
/// # Errors
///
/// Where that cannot be read.
pub(super) fn next(file: &mut impl io::Read) -> io::Result<Found> {
    let mut bytes = Vec::new();
    match file.take(HEAD as u64).read_to_end(&mut bytes)? {
        0 => return Ok(Found::End),
        HEAD => {}
        _ => return Ok(Found::Torn),
    }
    let Some((length, checked)) = head(&bytes) else { return Ok(Found::Damaged) };
    bytes.clear();
    if file.take(length as u64).read_to_end(&mut bytes)? < length {
        return Ok(Found::Torn);
    }
    if checksum(&bytes) != checked {
        return Ok(Found::Damaged);
    }
    Ok(match Record::decode(&bytes[..]) {
        Ok(record) => Found::Record {
            size: (HEAD + length) as u64,
            is_last: matches!(record.record, Some(record::Record::Ended(_))),
        },
        Err(_) => Found::Damaged,
    })
}

/// Records as others are given them, each after its length alone; nothing where one of them is damaged.
pub(super) fn given(mut frames: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::with_capacity(frames.len());
    while !frames.is_empty() {
        let (length, checked) = head(frames)?;
        let record = frames.get(HEAD..HEAD + length).filter(|record| checksum(record) == checked)?;
        prost::encode_length_delimiter(length, &mut all).ok()?;
        all.extend_from_slice(record);
        frames = &frames[HEAD + length..];
    }
    Some(all)
}

/// The length and the checksum in a head, if it is one.
fn head(bytes: &[u8]) -> Option<(usize, [u8; 4])> {
    let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok();
    let (length, turned): ([u8; 4], [u8; 4]) = (word(0)?, word(4)?);
    let is_length = length.map(|byte| !byte) == turned;
    Some((usize::try_from(u32::from_le_bytes(length)).ok().filter(|_| is_length)?, word(8)?))
}

fn checksum(record: &[u8]) -> [u8; 4] {
    let hash: [u8; 32] = Sha256::digest(record).into();
    [hash[0], hash[1], hash[2], hash[3]]
}
