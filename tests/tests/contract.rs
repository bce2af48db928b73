//! The wire contract, checked by a client that uses only field numbers and none of golo's code.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::{collections::HashSet, sync::Arc};

use golo::{Context, Loadtest, OutputRef, Response, Sink, WireLayout};
use golo_tests::{connect, within};
use http::uri::PathAndQuery;
use prost::bytes::{Buf as _, BufMut as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{Barrier, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::tokio_stream::{self, StreamExt as _};
use tonic::codegen::{Body as HttpBody, StdError};
use tonic::{Code, Request, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

const TRIGGER: &str = "/golo.Job/Trigger";
/// Number of triggers that wait for each other in the job `meet`.
const CROWD: usize = 2_000;

/// Codec for messages as raw bytes.
#[derive(Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut message = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut message);
        Ok(Some(message))
    }
}

async fn call<S>(service: S, path: &'static str, message: Vec<u8>) -> Result<Vec<u8>, Status>
where
    S: GrpcService<Body, Error: Into<StdError>, ResponseBody: HttpBody<Error: Into<StdError>> + Send + 'static>,
{
    let mut grpc = Grpc::new(service);
    within("room for a call", grpc.ready()).await.map_err(|error| Status::unknown(error.into().to_string()))?;
    let called = grpc.unary(Request::new(message), PathAndQuery::from_static(path), Raw);
    within("an answer", called).await.map(tonic::Response::into_inner)
}

/// A field of an encoded message.
#[derive(Debug, Clone, PartialEq)]
enum Field {
    Number(u64, u64),
    Bytes(u64, Vec<u8>),
}

fn text(field: u64, text: &str) -> Field {
    Field::Bytes(field, text.into())
}

fn message(fields: &[Field]) -> Vec<u8> {
    let mut message = Vec::new();
    for field in fields {
        match field {
            Field::Number(field, number) => {
                put_varint(field << 3, &mut message);
                put_varint(*number, &mut message);
            }
            Field::Bytes(field, bytes) => {
                put_varint(field << 3 | 2, &mut message);
                put_varint(bytes.len() as u64, &mut message);
                message.extend(bytes);
            }
        }
    }
    message
}

fn put_varint(mut number: u64, message: &mut Vec<u8>) {
    while number >= 0x80 {
        message.push(number as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

fn fields(mut message: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = take_varint(&mut message);
        let value = take_varint(&mut message);
        fields.push(match key & 7 {
            0 => Field::Number(key >> 3, value),
            2 => {
                let (bytes, rest) = message.split_at(value.try_into().unwrap());
                message = rest;
                Field::Bytes(key >> 3, bytes.into())
            }
            kind => panic!("wire type {kind} of field {}", key >> 3),
        });
    }
    fields
}

fn take_varint(message: &mut &[u8]) -> u64 {
    let mut number = 0;
    for place in 0.. {
        let (&byte, rest) = message.split_first().unwrap();
        *message = rest;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            break;
        }
    }
    number
}

/// Returns the text of field `number`, which may occur once.
fn text_of(message: &[u8], number: u64) -> String {
    let mut texts = fields(message).into_iter().filter_map(|field| match field {
        Field::Bytes(found, text) if found == number => Some(String::from_utf8(text).unwrap()),
        _ => None,
    });
    let text = texts.next().unwrap_or_default();
    assert_eq!(texts.next(), None);
    text
}

struct Discard;

impl Sink for Discard {
    fn output(&self, _: &OutputRef<'_>) {}
}

/// Returns a load test that responds with the context it received.
fn loadtest() -> Loadtest {
    let crowd = Arc::new(Barrier::new(CROWD));
    let loadtest = Loadtest::new(move |context: Context, response: Response| {
        let crowd = Arc::clone(&crowd);
        async move {
            match &*context.job_name {
                "tell" => {
                    let output = format!("user {:?}, iteration {:?}", context.user, context.iteration);
                    let tags = golo::tagify([("first", "1"), ("", "naïve")]);
                    return Ok(Response { id: "its id".to_owned(), output, tags, ..response });
                }
                "fail" => return Err("out of stock"),
                name if name.starts_with("meet") => {
                    crowd.wait().await;
                }
                _ => {}
            }
            Ok(response)
        }
    });
    loadtest.name("contract").sink(Discard)
}

/// A served load test.
struct Served {
    address: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), golo::Error>>,
}

impl Served {
    fn on(listener: impl Into<golo::Listener>, address: String) -> Self {
        Self::on_with(listener, address, WireLayout::Documented)
    }

    fn on_with(listener: impl Into<golo::Listener>, address: String, wire: WireLayout) -> Self {
        let (stop, stopped) = oneshot::channel();
        let serving = loadtest().serve_on(listener).wire(wire).until(async {
            let _ = stopped.await;
        });
        Self { address, stop, serving: tokio::spawn(serving.into_future()) }
    }

    async fn tcp() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self::on(listener, address)
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        within("the server's end", self.serving).await.unwrap().unwrap();
    }
}

/// Checks that apply to every transport.
async fn keeps_the_contract<S>(service: S)
where
    S: GrpcService<Body, Error: Into<StdError>, ResponseBody: HttpBody<Error: Into<StdError>> + Send + 'static> + Clone,
{
    let trigger = async |context: &[Field]| call(service.clone(), TRIGGER, message(context)).await;

    let told = trigger(&[text(1, "tell"), Field::Number(2, 0), Field::Number(3, 1 << 40)]).await.unwrap();
    let mut told = fields(&told);
    assert!(matches!(told.pop(), Some(Field::Number(7, 1..))), "the duration comes last, and is a varint");
    let tags = [[text(1, "first"), text(2, "1")].to_vec(), [text(2, "naïve")].to_vec()];
    let mut expected = vec![text(1, "its id"), text(2, "tell"), text(4, "user Some(0), iteration Some(1099511627776)")];
    expected.extend(tags.map(|tag| Field::Bytes(5, message(&tag))));
    assert_eq!(told, expected);

    let failed = trigger(&[text(1, "fail"), Field::Number(2, u64::MAX)]).await.unwrap();
    let failed = fields(&failed);
    let [Field::Bytes(1, id), rest @ .., Field::Number(7, _)] = &failed[..] else { panic!("{failed:?}") };
    assert_eq!(id.len(), 36);
    assert_eq!(rest, [text(2, "fail"), Field::Number(3, 1), text(4, "out of stock")]);

    let empty = fields(&trigger(&[]).await.unwrap());
    assert!(matches!(&empty[..], [Field::Bytes(1, _), Field::Number(7, _)]), "{empty:?}");

    let strange = [
        Field::Number(6, 7),
        text(1, "another"),
        Field::Bytes(5, vec![0xff, 0x00]),
        text(1, "tell"),
        Field::Bytes(99_999, b"later".to_vec()),
        Field::Number(3, 3),
    ];
    let told = trigger(&strange).await.unwrap();
    assert_eq!(text_of(&told, 4), "user None, iteration Some(3)", "unknown fields are ignored, the last name counts");

    let broken = call(service.clone(), TRIGGER, vec![0x0a, 0xff]).await.unwrap_err();
    assert_eq!(broken.code(), Code::Internal, "{broken:?}");
    for (path, code) in [("/golo.Job/Other", Code::Unimplemented), ("/golo.Job/trigger", Code::Unimplemented)] {
        assert_eq!(call(service.clone(), path, Vec::new()).await.unwrap_err().code(), code, "{path}");
    }

    let large = "x".repeat(3 << 20);
    assert_eq!(text_of(&trigger(&[text(1, &large)]).await.unwrap(), 2), large);
    let huge = trigger(&[text(1, &"x".repeat(5 << 20))]).await.unwrap_err();
    assert!(matches!(huge.code(), Code::OutOfRange | Code::ResourceExhausted), "{huge:?}");
    assert_eq!(text_of(&trigger(&[text(1, "after that")]).await.unwrap(), 2), "after that");
}

#[tokio::test]
async fn service_in_memory_keeps_the_contract() {
    keeps_the_contract(loadtest().into_service()).await;
}

#[tokio::test]
async fn service_over_tcp_keeps_the_contract() {
    let served = Served::tcp().await;
    keeps_the_contract(connect(&served.address).await).await;
    served.stop().await;
}

#[tokio::test]
async fn service_over_a_unix_socket_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let served = Served::on(UnixListener::bind(&path).unwrap(), format!("unix:{}", path.display()));
    keeps_the_contract(connect(&served.address).await).await;
    served.stop().await;
}

#[tokio::test]
async fn unknown_services_are_unimplemented() {
    let served = Served::tcp().await;
    let channel = connect(&served.address).await;
    for path in
        ["/golo.Other/Trigger", "/Job/Trigger", "/golo.Job", "/golo.Job/", "/golo.Job/Trigger/", "/", "//Trigger"]
    {
        let refused = call(channel.clone(), path, Vec::new()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented, "{path}: {refused:?}");
    }
    assert!(call(channel, TRIGGER, Vec::new()).await.is_ok());
    served.stop().await;
}

#[tokio::test]
async fn health_can_be_checked_and_watched() {
    let served = Served::tcp().await;
    let mut health = HealthClient::new(connect(&served.address).await);
    let asked = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in ["golo.Job", ""] {
        let checked = within("health", health.check(asked(service))).await.unwrap();
        assert_eq!(checked.into_inner().status, 1, "SERVING: {service:?}");
    }
    let unknown = within("health", health.check(asked("golo.Other"))).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    let mut watches = Vec::new();
    for service in ["golo.Job", ""] {
        let mut watch = within("health", health.watch(asked(service))).await.unwrap().into_inner();
        let first = within("health", watch.message()).await.unwrap().unwrap();
        assert_eq!(first.status, 1, "SERVING: {service:?}");
        watches.push(watch);
    }
    // An open health watch does not delay the stop.
    served.stop().await;
    for mut watch in watches {
        let next = within("health", watch.message()).await.unwrap().unwrap();
        assert_eq!(next.status, 2, "NOT_SERVING");
    }
}

#[tokio::test]
async fn reflection_lists_the_services_and_their_messages() {
    const INFO: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let served = Served::tcp().await;
    let channel = connect(&served.address).await;
    let ask = async |question: Field| {
        let mut grpc = Grpc::new(channel.clone());
        within("room for a call", grpc.ready()).await.unwrap();
        let asked = grpc.server_streaming(Request::new(message(&[question])), PathAndQuery::from_static(INFO), Raw);
        let mut answers = within("an answer", asked).await.unwrap().into_inner();
        fields(&within("an answer", answers.message()).await.unwrap().unwrap())
    };
    let listed = ask(text(7, "")).await;
    let list = listed.iter().find_map(|field| match field {
        Field::Bytes(6, list) => Some(fields(list)),
        _ => None,
    });
    let name_of = |service| match service {
        Field::Bytes(1, service) => text_of(&service, 1),
        other => panic!("{other:?}"),
    };
    let names: HashSet<_> = list.unwrap().into_iter().map(name_of).collect();
    for name in ["golo.Job", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"] {
        assert!(names.contains(name), "{name}: {names:?}");
    }

    let described = ask(text(4, "golo.Job")).await;
    let files = described.iter().find_map(|field| match field {
        Field::Bytes(4, files) => Some(String::from_utf8_lossy(files).into_owned()),
        _ => None,
    });
    let files = files.expect("the file that has golo.Job");
    for word in ["Trigger", "Context", "ResponseTag", "jobName", "iteration"] {
        assert!(files.contains(word), "{word}");
    }

    // An open reflection stream does not delay the stop.
    let mut grpc = Grpc::new(channel.clone());
    within("room for a call", grpc.ready()).await.unwrap();
    let questions = Request::new(tokio_stream::once(message(&[text(7, "")])).chain(tokio_stream::pending()));
    let open = within("an answer", grpc.streaming(questions, PathAndQuery::from_static(INFO), Raw)).await.unwrap();
    served.stop().await;
    drop(open);
}

#[tokio::test]
async fn non_grpc_bytes_close_the_connection() {
    let served = Served::tcp().await;
    for words in [&b"GET / HTTP/1.1\r\nhost: golo\r\n\r\n"[..], &[0; 1000]] {
        let mut stream = TcpStream::connect(&served.address).await.unwrap();
        stream.write_all(words).await.unwrap();
        // The connection must be closed or reset, not left open.
        let _ = within("the connection's end", stream.read_to_end(&mut Vec::new())).await;
    }
    assert!(call(connect(&served.address).await, TRIGGER, Vec::new()).await.is_ok());
    served.stop().await;
}

/// Triggers `CROWD` triggers at the same time over this many connections.
async fn crowd(connections: usize) {
    let served = Served::tcp().await;
    let mut channels = Vec::new();
    for _ in 0..connections {
        channels.push(connect(&served.address).await);
    }
    let mut triggers = JoinSet::new();
    for number in 0..CROWD {
        let channel = channels[number % connections].clone();
        triggers.spawn(async move {
            let name = format!("meet {number}");
            let response = call(channel, TRIGGER, message(&[text(1, &name)])).await.unwrap();
            assert_eq!(text_of(&response, 2), name);
            text_of(&response, 1)
        });
    }
    let ids: HashSet<_> = triggers.join_all().await.into_iter().collect();
    assert_eq!(ids.len(), CROWD, "ids are all different");
    served.stop().await;
}

#[tokio::test]
async fn two_thousand_triggers_on_one_connection() {
    crowd(1).await;
}

#[tokio::test]
async fn two_thousand_triggers_on_64_connections() {
    crowd(64).await;
}

#[tokio::test]
async fn later_layout_has_tags_in_field_6() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = Served::on_with(listener, address, WireLayout::Later);
    let channel = connect(&served.address).await;
    let told = call(channel, TRIGGER, message(&[text(1, "tell")])).await.unwrap();
    let told = fields(&told);
    assert!(matches!(told[2], Field::Number(4, 1..)), "the duration, a varint: {told:?}");
    let tags = [[text(1, "first"), text(2, "1")].to_vec(), [text(2, "naïve")].to_vec()];
    let mut expected = vec![text(1, "its id"), text(2, "tell"), told[2].clone()];
    expected.push(text(5, "user None, iteration None"));
    expected.extend(tags.map(|tag| Field::Bytes(6, message(&tag))));
    assert_eq!(told, expected);
    served.stop().await;
}
