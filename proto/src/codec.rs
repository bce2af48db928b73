//! Reads and writes both layouts of `Response` that load tests use.
//!
//! | field | layout of `golo.proto` | later go-lo layout |
//! |---|---|---|
//! | 1, 2, 3 | id, job name, error | the same |
//! | 4 | output (string) | duration (varint) |
//! | 5 | tags | output (string) |
//! | 6 | | tags |
//! | 7 | duration (varint) | |

use std::marker::PhantomData;

use bytes::Buf;
use prost::{DecodeError, Message};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic_prost::ProstEncoder;

use crate::{Context, Response, ResponseTag};

/// Decodes a [`Response`] in either of the two layouts that load tests use.
///
/// The later go-lo layout is recognised by a varint at field 4, or by any field 6. Without these, the message has the
/// layout of `golo.proto`, unless some field 5 does not parse as a [`ResponseTag`]. In that case it has the later
/// layout, too. All of `encoded` is consumed.
///
/// One case is ambiguous: a message in the later layout that has neither a duration nor tags, and whose output happens
/// to parse as a `ResponseTag`, such as `00`. It is decoded with that tag and without output.
///
/// Unknown fields are skipped. In the later layout that includes field 7, since the duration is in field 4. If a field
/// is repeated that should occur once, its last value is used.
///
/// # Errors
///
/// Returns an error if `encoded` is not a Protobuf message, text is not UTF-8, unknown groups nest deeper than Prost
/// allows, or a known field has a wrong wire type.
///
/// # Examples
///
/// ```
/// use golo_proto::{Response, decode_response};
///
/// let ours = [0x22, 2, b'o', b'k', 0x38, 9];
/// let later = [0x20, 9, 0x2a, 2, b'o', b'k'];
/// let expected = Response {
///     output: "ok".to_owned(),
///     duration: 9,
///     ..Response::default()
/// };
/// assert_eq!(decode_response(&ours[..])?, expected);
/// assert_eq!(decode_response(&later[..])?, expected);
/// # Ok::<(), prost::DecodeError>(())
/// ```
pub fn decode_response(mut encoded: impl Buf) -> Result<Response, DecodeError> {
    let length = encoded.remaining();
    if encoded.chunk().len() == length {
        let response = decode_contiguous(encoded.chunk());
        encoded.advance(length);
        response
    } else {
        decode_contiguous(&encoded.copy_to_bytes(length))
    }
}

fn decode_contiguous(encoded: &[u8]) -> Result<Response, DecodeError> {
    let is_later = fields(encoded).any(|field| matches!(field, (4, Value::Varint) | (6, _)));
    if is_later {
        return LaterResponse::decode(encoded).map(Response::from);
    }
    Response::decode(encoded).or_else(|error| {
        let only_tags_at_5 = fields(encoded).all(|field| match field {
            (5, Value::Bytes(tag)) => ResponseTag::decode(tag).is_ok(),
            (number, _) => number != 5,
        });
        if only_tags_at_5 {
            return Err(error);
        }
        // If neither layout fits, the error of the `golo.proto` layout is more helpful.
        LaterResponse::decode(encoded).map(Response::from).map_err(|_| error)
    })
}

/// `Response` in the layout of a later revision of go-lo.
#[derive(Clone, PartialEq, Message)]
struct LaterResponse {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    job_name: String,
    #[prost(bool, tag = "3")]
    error: bool,
    #[prost(uint64, tag = "4")]
    duration: u64,
    #[prost(string, tag = "5")]
    output: String,
    #[prost(message, repeated, tag = "6")]
    tags: Vec<ResponseTag>,
}

impl From<Response> for LaterResponse {
    fn from(response: Response) -> Self {
        Self {
            id: response.id,
            job_name: response.job_name,
            error: response.error,
            duration: response.duration,
            output: response.output,
            tags: response.tags,
        }
    }
}

impl From<LaterResponse> for Response {
    fn from(later: LaterResponse) -> Self {
        Self {
            id: later.id,
            job_name: later.job_name,
            error: later.error,
            output: later.output,
            tags: later.tags,
            duration: later.duration,
        }
    }
}

/// Returns the fields of an encoded message with their numbers. It skips fields inside groups and stops at the first
/// malformed one; Prost reports errors.
fn fields(encoded: &[u8]) -> Fields<'_> {
    Fields { rest: encoded, open_groups: 0 }
}

struct Fields<'a> {
    rest: &'a [u8],
    open_groups: usize,
}

#[derive(Debug, PartialEq)]
enum Value<'a> {
    Varint,
    Bytes(&'a [u8]),
    Other,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let open_groups = self.open_groups;
            let key = u32::try_from(self.take_varint()?).ok()?;
            let value = match key & 0b111 {
                0 => {
                    self.take_varint()?;
                    Value::Varint
                }
                1 => {
                    self.take(8)?;
                    Value::Other
                }
                2 => {
                    let length = usize::try_from(self.take_varint()?).ok()?;
                    Value::Bytes(self.take(length)?)
                }
                3 => {
                    self.open_groups += 1;
                    Value::Other
                }
                4 => {
                    self.open_groups = open_groups.checked_sub(1)?;
                    continue;
                }
                5 => {
                    self.take(4)?;
                    Value::Other
                }
                _ => return None,
            };
            if open_groups == 0 {
                return Some((key >> 3, value));
            }
        }
    }
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn take_varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

/// Codec of the generated client and server.
#[derive(Debug)]
pub(crate) struct JobCodec<Sent, Received> {
    messages: PhantomData<fn(Sent) -> Received>,
}

impl<Sent, Received> Default for JobCodec<Sent, Received> {
    fn default() -> Self {
        Self { messages: PhantomData }
    }
}

impl<Sent, Received> Codec for JobCodec<Sent, Received>
where
    Sent: Message + 'static,
    Received: Receive,
{
    type Encode = Sent;
    type Decode = Received;
    type Encoder = ProstEncoder<Sent>;
    type Decoder = JobDecoder<Received>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        JobDecoder { message: PhantomData }
    }
}

/// Codec that encodes responses in go-lo's last layout.
#[derive(Debug, Default)]
pub(crate) struct LaterCodec;

impl Codec for LaterCodec {
    type Encode = Response;
    type Decode = Context;
    type Encoder = Self;
    type Decoder = JobDecoder<Context>;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        JobDecoder { message: PhantomData }
    }
}

impl Encoder for LaterCodec {
    type Item = Response;
    type Error = Status;

    fn encode(&mut self, response: Response, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        LaterResponse::from(response).encode(to).map_err(|error| Status::internal(error.to_string()))
    }
}

/// Decoder of the messages that [`JobCodec`] receives.
#[derive(Debug)]
pub(crate) struct JobDecoder<Received> {
    message: PhantomData<fn() -> Received>,
}

impl<Received: Receive> Decoder for JobDecoder<Received> {
    type Item = Received;
    type Error = Status;

    fn decode(&mut self, encoded: &mut DecodeBuf<'_>) -> Result<Option<Received>, Status> {
        match Received::receive(encoded) {
            Ok(message) => Ok(Some(message)),
            Err(error) => Err(Status::internal(error.to_string())),
        }
    }
}

/// A message that a client or a server receives.
pub(crate) trait Receive: Sized + Send + 'static {
    fn receive(encoded: impl Buf) -> Result<Self, DecodeError>;
}

impl Receive for Context {
    fn receive(encoded: impl Buf) -> Result<Self, DecodeError> {
        Self::decode(encoded)
    }
}

impl Receive for Response {
    fn receive(encoded: impl Buf) -> Result<Self, DecodeError> {
        decode_response(encoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden_response() -> Response {
        Response {
            id: "a1".to_owned(),
            job_name: "buy".to_owned(),
            error: true,
            output: "no".to_owned(),
            tags: vec![ResponseTag { key: "k".to_owned(), value: "v".to_owned() }],
            duration: 300,
        }
    }

    const GOLDEN: &[u8] = &[
        0x0a, 2, b'a', b'1', // 1, id
        0x12, 3, b'b', b'u', b'y', // 2, job name
        0x18, 1, // 3, error
        0x22, 2, b'n', b'o', // 4, output
        0x2a, 6, 0x0a, 1, b'k', 0x12, 1, b'v', // 5, a tag
        0x38, 0xac, 0x02, // 7, duration
    ];

    const GOLDEN_LATER: &[u8] = &[
        0x0a, 2, b'a', b'1', // 1, id
        0x12, 3, b'b', b'u', b'y', // 2, job name
        0x18, 1, // 3, error
        0x20, 0xac, 0x02, // 4, duration
        0x2a, 2, b'n', b'o', // 5, output
        0x32, 6, 0x0a, 1, b'k', 0x12, 1, b'v', // 6, a tag
    ];

    fn output(output: &str) -> Response {
        Response { output: output.to_owned(), ..Response::default() }
    }

    fn tagged(key: &str) -> Response {
        Response { tags: vec![ResponseTag { key: key.to_owned(), value: String::new() }], ..Response::default() }
    }

    #[test]
    fn response_is_written_in_layout_of_proto_file() {
        assert_eq!(golden_response().encode_to_vec(), GOLDEN);
    }

    #[test]
    fn later_response_is_written_in_later_layout() {
        assert_eq!(LaterResponse::from(golden_response()).encode_to_vec(), GOLDEN_LATER);
    }

    #[test]
    fn both_layouts_are_read() {
        assert_eq!(decode_response(GOLDEN).unwrap(), golden_response());
        assert_eq!(decode_response(GOLDEN_LATER).unwrap(), golden_response());
    }

    #[test]
    fn response_without_duration_is_read() {
        let encoded = &GOLDEN[..GOLDEN.len() - 3];
        assert_eq!(decode_response(encoded).unwrap().duration, 0);
    }

    #[test]
    fn context_fields_have_numbers_of_the_contract() {
        let context = Context { job_name: "buy".to_owned(), user: Some(7), iteration: Some(0), scenario: None };
        let encoded = [0x0a, 3, b'b', b'u', b'y', 0x10, 7, 0x18, 0];
        assert_eq!(context.encode_to_vec(), encoded);
        assert_eq!(Context::receive(&encoded[..]).unwrap(), context);
    }

    #[test]
    fn empty_message_is_an_empty_response() {
        assert_eq!(decode_response(&[][..]).unwrap(), Response::default());
    }

    #[test]
    fn field_6_alone_means_the_later_layout() {
        let tag_after_output = [0x2a, 2, b'o', b'k', 0x32, 3, 0x0a, 1, b'k'];
        let tag_before_output = [0x32, 3, 0x0a, 1, b'k', 0x2a, 2, b'o', b'k'];
        let expected = Response { output: "ok".to_owned(), ..tagged("k") };
        assert_eq!(decode_response(&tag_after_output[..]).unwrap(), expected);
        assert_eq!(decode_response(&tag_before_output[..]).unwrap(), expected);
    }

    #[test]
    fn varint_at_4_means_the_later_layout_even_if_5_would_be_a_tag() {
        let encoded = [0x20, 0, 0x2a, 3, 0x0a, 1, b'k'];
        assert_eq!(decode_response(&encoded[..]).unwrap(), output("\n\u{1}k"));
    }

    #[test]
    fn field_5_that_is_not_a_tag_means_the_later_layout() {
        let encoded = [0x2a, 5, b'h', b'e', b'l', b'l', b'o'];
        assert_eq!(decode_response(&encoded[..]).unwrap(), output("hello"));
    }

    #[test]
    fn single_field_5_that_parses_as_tag_is_a_tag() {
        let encoded = [0x2a, 3, 0x0a, 1, b'k'];
        assert_eq!(decode_response(&encoded[..]).unwrap(), tagged("k"));
        let encoded = [0x2a, 2, b'0', b'0'];
        assert_eq!(decode_response(&encoded[..]).unwrap(), tagged(""));
    }

    #[test]
    fn field_7_is_skipped_in_the_later_layout() {
        let encoded = [0x38, 9, 0x20, 5, 0x38, 9];
        assert_eq!(decode_response(&encoded[..]).unwrap().duration, 5);
        let encoded = [0x38, 9, 0x32, 3, 0x0a, 1, b'k'];
        assert_eq!(decode_response(&encoded[..]).unwrap().duration, 0);
    }

    #[test]
    fn unknown_fields_are_skipped_and_do_not_decide_the_layout() {
        let unknown = [
            0x40, 1, // 8, a varint
            0x49, 0, 0, 0, 0, 0, 0, 0, 0, // 9, eight bytes
            0x55, 0, 0, 0, 0, // 10, four bytes
            0x5b, 0x20, 1, 0x63, 0x32, 0, 0x64, 0x5c, // 11, a group that holds a 4 and a 6
        ];
        let encoded = [&unknown[..], GOLDEN, &unknown[..]].concat();
        assert_eq!(decode_response(&encoded[..]).unwrap(), golden_response());
        let encoded = [&unknown[..], GOLDEN_LATER, &unknown[..]].concat();
        assert_eq!(decode_response(&encoded[..]).unwrap(), golden_response());
    }

    #[test]
    fn wrong_wire_types_are_errors() {
        for encoded in [
            &[0x08, 1][..],                        // 1, a varint
            &[0x1a, 0],                            // 3, bytes
            &[0x21, 0, 0, 0, 0, 0, 0, 0, 0],       // 4, eight bytes
            &[0x28, 1],                            // 5, a varint
            &[0x30, 1],                            // 6, a varint
            &[0x3a, 0],                            // 7, bytes
            &[0x20, 1, 0x22, 2, b'n', b'o'],       // 4 both ways
            &[0x22, 2, b'n', b'o', 0x32, 0],       // 4 as we write it, and a 6
            &[0x22, 1, b'n', 0x2a, 2, b'n', b'o'], // 4 as we write it, a 5 that is no tag
        ] {
            assert!(decode_response(encoded).is_err(), "{encoded:x?}");
        }
    }

    #[test]
    fn broken_tag_next_to_output_is_reported_as_tag_error() {
        let encoded = [0x22, 1, b'n', 0x2a, 2, b'n', b'o'];
        let error = decode_response(&encoded[..]).unwrap_err().to_string();
        assert!(error.contains("Response.tags"), "{error}");
    }

    #[test]
    fn malformed_messages_are_errors() {
        for encoded in [
            &[0x80][..],                                                         // a key cut short
            &[0x0a, 5, b'a'],                                                    // a length past the end
            &[0x0a, 1, 0xff],                                                    // text that is not UTF-8
            &[0x2a, 1, 0xff],                                                    // neither a tag nor text
            &[0x00, 0],                                                          // field 0
            &[0x0e],                                                             // wire type 6
            &[0x5c],                                                             // the end of a group that never began
            &[0x5b],                                                             // a group without end
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],    // a length of 2^64 - 1
            &[0x38, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], // 11 bytes of varint
        ] {
            assert!(decode_response(encoded).is_err(), "{encoded:x?}");
        }
        assert!(decode_response(&[0x5b; 100_000][..]).is_err());
    }

    #[test]
    fn fields_stop_at_malformed_one() {
        let mut found = fields(&[0x0a, 1, b'a', 0x20, 1, 0x0a, 9]);
        assert_eq!(found.next(), Some((1, Value::Bytes(b"a"))));
        assert_eq!(found.next(), Some((4, Value::Varint)));
        assert_eq!(found.next(), None);
    }

    #[test]
    fn whole_buffer_is_consumed() {
        for encoded in [GOLDEN, GOLDEN_LATER, &[0x80, 0x80]] {
            let mut whole = encoded;
            let _ = decode_response(&mut whole);
            assert!(!whole.has_remaining());

            let mut parts = encoded[..1].chain(&encoded[1..]);
            let _ = decode_response(&mut parts);
            assert!(!parts.has_remaining());
        }
    }
}
