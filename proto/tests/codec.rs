//! Properties of the codec: encoded responses decode to the same values in both layouts, and no input makes it panic.

// Clippy's exception for tests does not cover their helpers.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use bytes::{Buf, Bytes};
use golo_proto::{Context, Job, JobClient, JobServer, Response, ResponseTag, decode_response};
use http_body::{Body, Frame};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;
use tonic::codegen::{Service, http};
use tonic::{Code, Request, Status};

/// The later go-lo layout, declared independently of the codec.
#[derive(Clone, PartialEq, Message)]
struct Later {
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

fn encode_later(response: &Response) -> Vec<u8> {
    Later {
        id: response.id.clone(),
        job_name: response.job_name.clone(),
        error: response.error,
        duration: response.duration,
        output: response.output.clone(),
        tags: response.tags.clone(),
    }
    .encode_to_vec()
}

/// Returns the expected result of decoding the later layout of `response`: the same response, except in the one
/// ambiguous case.
fn expected_of_later(response: &Response) -> Response {
    let has_mark = response.duration != 0 || !response.tags.is_empty();
    match ResponseTag::decode(response.output.as_bytes()) {
        Ok(tag) if !has_mark && !response.output.is_empty() => {
            Response { output: String::new(), tags: vec![tag], ..response.clone() }
        }
        _ => response.clone(),
    }
}

fn tags() -> impl Strategy<Value = ResponseTag> {
    (".{0,8}", ".{0,8}").prop_map(|(key, value)| ResponseTag { key, value })
}

/// Outputs, some of which are the encoding of a tag.
fn outputs() -> impl Strategy<Value = String> {
    let looks_like_a_tag = ("[a-z]{0,8}", "[a-z]{0,8}")
        .prop_map(|(key, value)| String::from_utf8(ResponseTag { key, value }.encode_to_vec()).unwrap());
    prop_oneof![Just(String::new()), any::<String>(), looks_like_a_tag]
}

fn responses() -> impl Strategy<Value = Response> {
    let durations = prop_oneof![Just(0), any::<u64>()];
    let tags = prop_oneof![Just(Vec::new()), vec(tags(), 0..4)];
    (".{0,36}", ".{0,8}", any::<bool>(), outputs(), tags, durations).prop_map(
        |(id, job_name, error, output, tags, duration)| Response { id, job_name, error, output, tags, duration },
    )
}

/// Encoded responses in either layout.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    (responses(), any::<bool>()).prop_map(
        |(response, later)| {
            if later { encode_later(&response) } else { response.encode_to_vec() }
        },
    )
}

/// Bytes that resemble fields of any number and wire type. The payload may not match the wire type.
fn field_like_bytes() -> impl Strategy<Value = Vec<u8>> {
    let field = (0u8..12, 0u8..8, vec(any::<u8>(), 0..12)).prop_map(|(number, wire, payload)| {
        let mut field = vec![number << 3 | wire];
        if wire == 2 {
            field.push(payload.len() as u8);
        }
        field.extend(payload);
        field
    });
    vec(field, 0..8).prop_map(|fields| fields.concat())
}

#[derive(Clone, Debug)]
enum Mutation {
    Truncate(Index),
    Replace(Index, u8),
    FlipBit(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Repeat(Index, Index),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match self {
            Self::Truncate(at) => bytes.truncate(at.index(length)),
            Self::Replace(at, byte) => bytes[at.index(length)] = *byte,
            Self::FlipBit(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Self::Insert(at, byte) => bytes.insert(at.index(length), *byte),
            Self::Remove(at) => {
                bytes.remove(at.index(length));
            }
            Self::Repeat(from, to) => {
                let part = bytes[from.index(length)..].to_vec();
                let to = to.index(length);
                bytes.splice(to..to, part);
            }
        }
    }
}

fn mutations() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        any::<Index>().prop_map(Mutation::Truncate),
        any::<(Index, u8)>().prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Mutation::FlipBit(at, bit)),
        any::<(Index, u8)>().prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        any::<Index>().prop_map(Mutation::Remove),
        any::<(Index, Index)>().prop_map(|(from, to)| Mutation::Repeat(from, to)),
    ]
}

/// Decodes `encoded` whole and in two parts, with the same result. A decoded response must also survive encoding and
/// decoding.
fn check_any(encoded: &[u8], cut: Index) -> Result<(), TestCaseError> {
    let whole = decode_response(encoded);
    let cut = cut.index(encoded.len() + 1);
    let parts = decode_response(encoded[..cut].chain(&encoded[cut..]));
    prop_assert_eq!(&whole, &parts);
    if let Ok(response) = whole {
        let written = response.encode_to_vec();
        prop_assert_eq!(decode_response(&written[..]), Ok(response));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn encoded_response_decodes_to_itself(response in responses()) {
        let encoded = response.encode_to_vec();
        prop_assert_eq!(decode_response(&encoded[..]), Ok(response));
    }

    #[test]
    fn later_layout_is_decoded(response in responses()) {
        let encoded = encode_later(&response);
        prop_assert_eq!(decode_response(&encoded[..]), Ok(expected_of_later(&response)));
    }

    #[test]
    fn unknown_fields_are_ignored(
        encoded in messages(),
        number in 8u8..16,
        value in vec(any::<u8>(), 0..100),
    ) {
        let mut unknown = vec![number << 3 | 2, value.len() as u8];
        unknown.extend(value);
        let expected = decode_response(&encoded[..]);
        let before = [&unknown[..], &encoded[..]].concat();
        prop_assert_eq!(&decode_response(&before[..]), &expected);
        let after = [&encoded[..], &unknown[..]].concat();
        prop_assert_eq!(&decode_response(&after[..]), &expected);
    }

    #[test]
    fn any_bytes_do_not_panic(encoded in vec(any::<u8>(), 0..256), cut: Index) {
        check_any(&encoded, cut)?;
    }

    #[test]
    fn any_fields_do_not_panic(encoded in field_like_bytes(), cut: Index) {
        check_any(&encoded, cut)?;
    }

    #[test]
    fn mutated_messages_do_not_panic(
        mut encoded in messages(),
        mutations in vec(mutations(), 1..6),
        cut: Index,
    ) {
        for mutation in mutations {
            mutation.apply(&mut encoded);
        }
        check_any(&encoded, cut)?;
    }

    #[test]
    fn client_reads_messages_in_pieces(encoded in messages(), cuts in vec(any::<Index>(), 0..8)) {
        let expected = decode_response(&encoded[..]).unwrap();
        prop_assert_eq!(call(pieces(&encoded, &cuts)).unwrap(), expected);
    }

    #[test]
    fn client_survives_any_message(encoded in field_like_bytes(), cuts in vec(any::<Index>(), 0..8)) {
        match (call(pieces(&encoded, &cuts)), decode_response(&encoded[..])) {
            (Ok(called), Ok(decoded)) => prop_assert_eq!(called, decoded),
            (Err(status), Err(error)) => {
                prop_assert_eq!(status.code(), Code::Internal);
                prop_assert_eq!(status.message(), error.to_string());
            }
            (called, decoded) => prop_assert!(false, "{:?}, but {:?}", called, decoded),
        }
    }
}

/// Returns `encoded` as a gRPC message (flag for no compression, length, payload), cut into pieces.
fn pieces(encoded: &[u8], cuts: &[Index]) -> VecDeque<Bytes> {
    let mut message = vec![0];
    message.extend((encoded.len() as u32).to_be_bytes());
    message.extend(encoded);
    let mut rest = Bytes::from(message);
    let mut pieces = VecDeque::new();
    for cut in cuts {
        pieces.push_back(rest.split_to(cut.index(rest.len() + 1)));
    }
    pieces.push_back(rest);
    pieces
}

/// Triggers a load test that answers with `pieces`.
fn call(pieces: VecDeque<Bytes>) -> Result<Response, Status> {
    let mut client = JobClient::new(Canned(pieces));
    block_on(client.trigger(Context::default())).map(tonic::Response::into_inner)
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

struct Canned(VecDeque<Bytes>);

impl Service<http::Request<tonic::body::Body>> for Canned {
    type Response = http::Response<Pieces>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<tonic::body::Body>) -> Self::Future {
        ready(Ok(http::Response::new(Pieces {
            pieces: std::mem::take(&mut self.0),
            trailers: Some(http::HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                http::HeaderValue::from_static("0"),
            )])),
        })))
    }
}

struct Pieces {
    pieces: VecDeque<Bytes>,
    trailers: Option<http::HeaderMap>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match self.pieces.pop_front() {
            Some(piece) => Some(Frame::data(piece)),
            None => self.trailers.take().map(Frame::trailers),
        };
        Poll::Ready(frame.map(Ok))
    }
}

struct Echo;

#[tonic::async_trait]
impl Job for Echo {
    async fn trigger(&self, request: Request<Context>) -> Result<tonic::Response<Response>, Status> {
        let context = request.into_inner();
        Ok(tonic::Response::new(Response {
            output: format!("{:?} {:?}", context.user, context.iteration),
            job_name: context.job_name,
            duration: 12,
            ..Response::default()
        }))
    }
}

#[test]
fn client_and_server_understand_each_other() {
    let mut client = JobClient::new(JobServer::new(Echo));
    let response = block_on(client.trigger(Context {
        job_name: "buy".to_owned(),
        user: Some(0),
        iteration: None,
        scenario: None,
    }))
    .unwrap()
    .into_inner();
    assert_eq!(
        response,
        Response { job_name: "buy".to_owned(), output: "Some(0) None".to_owned(), duration: 12, ..Response::default() }
    );
}
