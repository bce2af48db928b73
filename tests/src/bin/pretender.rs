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
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        tell(Told::Started(Started { at: u64::try_from(now.as_nanos()).unwrap_or_default(), ahead: 0 })).await;
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
