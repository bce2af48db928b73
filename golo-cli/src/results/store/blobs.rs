//! Messages in columns of the database. They are compressed if that makes them shorter.

use golo::cli::chain;
use prost::Message;

use super::StoreError;
use crate::support::squeezed::{squeeze, unsqueeze};

/// First bytes of a zstd frame. No message of a column begins with them: they would be a varint of a field 5, and none has
/// one.
const SQUEEZED: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Maximum size of a compressed message in bytes, so that damage cannot fill the memory. Larger ones are stored as they are.
const MOST: usize = 64 << 20;

/// Encodes a message for a column.
pub(super) fn blob(message: &impl Message) -> Vec<u8> {
    let encoded = message.encode_to_vec();
    if encoded.len() > MOST {
        return encoded;
    }
    let squeezed = squeeze(&encoded);
    if squeezed.len() < encoded.len() { squeezed } else { encoded }
}

/// Decodes a message of a column.
pub(super) fn message<M: Message + Default>(blob: &[u8]) -> Result<M, StoreError> {
    match blob.starts_with(SQUEEZED) {
        true => decode(&unsqueeze(blob, MOST).map_err(|error| StoreError::damaged(chain(&error)))?),
        false => decode(blob),
    }
}

fn decode<M: Message + Default>(encoded: &[u8]) -> Result<M, StoreError> {
    M::decode(encoded).map_err(StoreError::damaged)
}
