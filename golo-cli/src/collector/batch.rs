//! Decoding a batch of records. Small messages can become large in memory, so their items are counted before decoding.

use axum::body::Bytes;
use golo_proto::results::Record;
use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, skip_field};
use prost::{Message as _, decode_length_delimiter};

use super::Refusal;

/// Maximum number of records per batch: other writers wait until a batch is written.
const RECORDS: usize = 10_000;
/// Maximum number of messages and texts in a batch: each can be 2 bytes long and takes about 200 bytes in memory.
const ITEMS: usize = 200_000;

/// Decodes records; the first has the number `from`. If there are more than a batch may contain, the first ones are
/// returned and the sender is expected to send the others again.
pub(super) fn decode(mut body: Bytes, from: u64) -> Result<Vec<Record>, Refusal> {
    let mut records = Vec::new();
    let mut items = 0;
    while !body.is_empty() && records.len() < RECORDS {
        let number = from.saturating_add(records.len() as u64);
        let wrong = |reason: &dyn std::fmt::Display| Refusal::bad(format!("record {number} cannot be read: {reason}"));
        let length = decode_length_delimiter(&mut body).map_err(|error| wrong(&error))?;
        if length > body.len() {
            return Err(wrong(&format_args!("it has {length} bytes, but only {} arrived", body.len())));
        }
        if length == 0 {
            return Err(wrong(&"it is empty"));
        }
        let record = body.split_to(length);
        let more = RECORD.items(&record);
        if more > ITEMS {
            return Err(wrong(&format_args!("it has {more} series, steps and texts: expected at most {ITEMS}")));
        }
        items += more;
        if items > ITEMS {
            break;
        }
        records.push(Record::decode(record).map_err(|error| wrong(&error))?);
    }
    Ok(records)
}

/// Fields of a message that are counted: `items` are the numbers of repeated fields, `within` those of messages that
/// contain counted fields.
struct Counted {
    items: &'static [u32],
    within: &'static [(u32, &'static Counted)],
}

const RECORD: Counted = Counted { items: &[], within: &[(2, &BEGUN), (3, &EVENT)] };
const BEGUN: Counted = Counted { items: &[6], within: &[] };
const EVENT: Counted = Counted { items: &[], within: &[(4, &SECOND), (6, &FINISHED)] };
const SECOND: Counted = Counted { items: &[], within: &[(3, &SNAPSHOT)] };
const FINISHED: Counted = Counted { items: &[9], within: &[(1, &SNAPSHOT)] };
const SNAPSHOT: Counted = Counted { items: &[1, 4, 7, 8, 14], within: &[(4, &JOURNEY), (14, &TAG)] };
const TAG: Counted = Counted { items: &[2], within: &[] };
const JOURNEY: Counted = Counted { items: &[2], within: &[] };

impl Counted {
    /// Returns the number of items in a message. Counting stops at the first invalid byte, as decoding does.
    fn items(&self, mut message: &[u8]) -> usize {
        let mut items = 0;
        while message.has_remaining() {
            let Ok((number, kind)) = decode_key(&mut message) else { return items };
            if kind != WireType::LengthDelimited {
                match skip_field(kind, number, &mut message, DecodeContext::default()) {
                    Ok(()) => continue,
                    Err(_) => return items,
                }
            }
            let Some((field, rest)) =
                decode_length_delimiter(&mut message).ok().and_then(|length| message.split_at_checked(length))
            else {
                return items;
            };
            message = rest;
            items += usize::from(self.items.contains(&number));
            items += self
                .within
                .iter()
                .filter(|(within, _)| *within == number)
                .map(|(_, of)| of.items(field))
                .sum::<usize>();
        }
        items
    }
}
