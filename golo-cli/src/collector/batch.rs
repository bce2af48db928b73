//! A batch of records, as it is read: what is small on its way and large in memory is counted before it is made.

use axum::body::Bytes;
use golo_proto::results::Record;
use prost::{
    Message as _,
    bytes::Buf,
    decode_length_delimiter,
    encoding::{DecodeContext, WireType, decode_key, skip_field},
};

use super::Refusal;

/// Most records that are taken at a time: they keep all others waiting while they are written.
const RECORDS: usize = 10_000;
/// Most messages and texts in them: each may be of 2 bytes, and takes some 200 in memory.
const ITEMS: usize = 200_000;

/// Reads records of which the first has the number `from`. Of more than are taken at a time it gives the first, and it is
/// up to who sends them to go on with those after.
pub(super) fn decode(mut body: Bytes, from: u64) -> Result<Vec<Record>, Refusal> {
    let mut records = Vec::new();
    let mut items = 0;
    while !body.is_empty() && records.len() < RECORDS {
        let number = from.saturating_add(records.len() as u64);
        let wrong = |reason: &dyn std::fmt::Display| Refusal::bad(format!("record {number} cannot be read: {reason}"));
        let length = decode_length_delimiter(&mut body).map_err(|error| wrong(&error))?;
        if length > body.len() {
            return Err(wrong(&format_args!("it has {length} bytes, and {} came", body.len())));
        }
        if length == 0 {
            return Err(wrong(&"it is empty"));
        }
        let record = body.split_to(length);
        let more = RECORD.items(&record);
        if more > ITEMS {
            return Err(wrong(&format_args!("there are {more} series, steps and texts in it, of {ITEMS} at most")));
        }
        items += more;
        if items > ITEMS {
            break;
        }
        records.push(Record::decode(record).map_err(|error| wrong(&error))?);
    }
    Ok(records)
}

/// What of a message is counted: by its number, what repeats, and what has something within that does.
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
    /// How many there are. What cannot be read is not counted: it is not made either.
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
