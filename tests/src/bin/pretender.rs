//! A load test that claims to run whole plans. The variable `PRETEND` selects how it misbehaves.

use std::{convert::Infallible, pin::Pin, time::Duration};

use golo::pb::engine as pb;
use golo::pb::engine::command::Command;
use golo::pb::engine::engine_server::{Engine, EngineServer};
use golo::pb::engine::event::Event as Told;
use golo::pb::engine::{Accepted, Event, Finished, Ready, Started};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::UnixListener, sync::mpsc};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming, codegen::Service as _};

/// A second in nanoseconds.
const SECOND: u64 = 1_000_000_000;

#[derive(Clone)]
struct Pretender;

#[tonic::async_trait]
impl Engine for Pretender {
    type RunStream = Pin<Box<dyn Stream<Item = Result<Event, Status>> + Send>>;

    async fn run(&self, request: Request<Streaming<pb::Command>>) -> Result<Response<Self::RunStream>, Status> {
        let what = std::env::var("PRETEND").unwrap_or_default();
        if what == "to have an error" {
            return Err(Status::internal("the kitchen is on fire"));
        }
        let (events, told) = mpsc::channel(1);
        tokio::spawn(pretend(what, request.into_inner(), events));
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }
}

async fn pretend(what: String, mut commands: Streaming<pb::Command>, events: mpsc::Sender<Result<Event, Status>>) {
    let tell = async |event| _ = events.send(Ok(Event { event: Some(event) })).await;
    let load = match commands.message().await {
        Ok(Some(pb::Command { command: Some(Command::Plan(plan)) })) => plan.load,
        _ => return,
    };
    let revision = if what == "to be of a later revision" { 99 } else { pb::REVISION };
    tell(Told::Accepted(Accepted { revision, version: "9.9.9".to_owned() })).await;
    if what != "never to be ready" {
        tell(Told::Ready(Ready { users: 1 })).await;
        if large(&what).is_some() {
            // An agent starts the members of a run together.
            _ = commands.message().await;
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        tell(Told::Started(Started { at: u64::try_from(now.as_nanos()).unwrap_or_default(), ahead: 0 })).await;
    }
    if let Some(large) = large(&what) {
        let second = |elapsed, snapshot| {
            Told::Second(pb::Second { elapsed: elapsed * SECOND, users: 1, snapshot: Some(snapshot), connections: 0 })
        };
        tell(second(1, large.clone())).await;
        tell(second(2, journeys(&[1]))).await;
        let times = Finished { load_time: 2 * SECOND, whole_time: 2 * SECOND, ..Finished::default() };
        tell(Told::Finished(Finished { rest: Some(large), load, workers: 1, ..times })).await;
        return;
    }
    if what == "to be done early" {
        tell(Told::Finished(Finished { load, load_time: 1_000_000, workers: 1, ..Finished::default() })).await;
        return;
    }
    eprintln!("it is all pretence");
    // It ignores all further commands.
    while let Ok(Some(_)) = commands.message().await {}
    tokio::time::sleep(Duration::from_secs(600)).await;
}

/// Returns measurements that are larger than a call to a collector may be.
fn large(what: &str) -> Option<pb::Snapshot> {
    match what {
        "to have many long journeys" => Some(journeys(&[2 << 20; 10])),
        "to have a giant journey" => Some(journeys(&[17 << 20])),
        _ => None,
    }
}

/// Returns measurements of one trigger and of journeys whose sequence IDs have these lengths. Names would be cut.
fn journeys(lengths: &[usize]) -> pb::Snapshot {
    let label = pb::Label { route: "step".to_owned(), method: "MEASURE".to_owned(), ..pb::Label::default() };
    let journey = |(number, length): (usize, &usize)| pb::Journey {
        sequence_id: format!("{number}{}", "x".repeat(*length)),
        steps: vec![pb::Step { label: Some(label.clone()), duration: SECOND, ..pb::Step::default() }],
        ended: SECOND,
        ..pb::Journey::default()
    };
    let slowest = lengths.iter().enumerate().map(journey).collect();
    let triggers = pb::Triggers { due: 1, done: 1, ..pb::Triggers::default() };
    pb::Snapshot { triggers: Some(triggers), slowest, ..pb::Snapshot::default() }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::var("GOLO_ADDR").unwrap_or_default();
    let listener = UnixListener::bind(address.strip_prefix("unix:").unwrap_or_default())?;
    loop {
        let (stream, _) = listener.accept().await?;
        let answer = service_fn(|request: http::Request<Incoming>| async {
            Ok::<_, Infallible>(EngineServer::new(Pretender).call(request).await.unwrap_or_else(|never| match never {}))
        });
        tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer));
    }
}
