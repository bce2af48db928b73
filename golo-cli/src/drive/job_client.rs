//! The client of `golo.Job`: how the engine triggers a load test that another process serves.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use golo::{
    Context,
    engine::{
        errors::ErrorKind,
        recorder::RecorderSink,
        trigger::{Failure, Outcome, Trigger},
    },
    pb::JobClient,
};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, time::sleep};
use tonic::{
    Status,
    transport::{Channel, Endpoint, Error, Uri},
};
use tower::service_fn;

use crate::drive::journeys::OpenJourneys;

/// Connections of each worker: one call at a time on each would cost six times what many on few do.
const CONNECTIONS: usize = 4;
/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a trigger whose call broke off waits for the run to end: what made it break off is most often the load test's
/// death, and users that went on meanwhile would fail as often as they can.
const BROKEN: Duration = Duration::from_secs(1);

thread_local! {
    /// Those of one worker, which live on its runtime.
    static CONNECTED: RefCell<Vec<Connection>> = const { RefCell::new(Vec::new()) };
}

/// A connection to the load test.
struct Connection {
    client: JobClient<Channel>,
    /// Held by each call in flight as well.
    calls: Arc<()>,
}

impl Connection {
    /// The one with the fewest calls, and what a call on it holds. What was answered together is asked again on the same
    /// connection then, and so together too: calls that take turns cost three times as many writes and reads.
    fn least_busy() -> Option<(JobClient<Channel>, Arc<()>)> {
        CONNECTED.with_borrow(|connected| {
            let least = connected.iter().min_by_key(|connection| Arc::strong_count(&connection.calls))?;
            Some((least.client.clone(), Arc::clone(&least.calls)))
        })
    }
}

/// Where a load test is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Socket(PathBuf),
    /// A host and a port.
    Tcp(String),
}

impl Address {
    /// A connection that is made when it is first needed.
    ///
    /// # Errors
    ///
    /// Where the address is none.
    pub fn channel(&self) -> Result<Channel, Error> {
        Ok(match self {
            Self::Tcp(address) => endpoint(address)?.connect_lazy(),
            Self::Socket(path) => {
                let path = path.clone();
                endpoint("localhost")?.connect_with_connector_lazy(service_fn(move |_: Uri| connect(path.clone())))
            }
        })
    }

    /// Whether anything answers there.
    pub async fn answers(&self) -> bool {
        let connected = match self {
            Self::Tcp(address) => match endpoint(address) {
                Ok(endpoint) => endpoint.connect().await,
                Err(error) => Err(error),
            },
            Self::Socket(path) => {
                let path = path.clone();
                match endpoint("localhost") {
                    Ok(endpoint) => {
                        endpoint.connect_with_connector(service_fn(move |_: Uri| connect(path.clone()))).await
                    }
                    Err(error) => Err(error),
                }
            }
        };
        connected.is_ok()
    }
}

fn endpoint(authority: &str) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::from_shared(format!("http://{authority}"))?;
    Ok(endpoint.connect_timeout(CONNECT).tcp_nodelay(true))
}

async fn connect(path: impl AsRef<Path>) -> std::io::Result<TokioIo<UnixStream>> {
    UnixStream::connect(path).await.map(TokioIo::new)
}

/// A load test behind `golo.Job`.
pub struct ServedJob {
    address: Address,
    journeys: Arc<OpenJourneys>,
    measured: Option<Arc<RecorderSink>>,
}

impl ServedJob {
    /// The one that is served at `address`, whose journeys end with its answers.
    #[must_use]
    pub fn new(address: Address, journeys: Arc<OpenJourneys>) -> Self {
        Self { address, journeys, measured: None }
    }

    /// The same; if it prints no `Output`, the tags of its responses tell `measured` of its requests.
    #[must_use]
    pub fn told_by_tags(self, measured: Arc<RecorderSink>) -> Self {
        Self { measured: Some(measured), ..self }
    }
}

impl Trigger for ServedJob {
    type User = ();

    fn has_users(&self) -> bool {
        false
    }

    fn prepare(&self) -> Result<(), String> {
        let connection = || {
            let channel = self.address.channel().map_err(|error| golo::cli::chain(&error))?;
            Ok(Connection { client: JobClient::new(channel), calls: Arc::default() })
        };
        CONNECTED.set((0..CONNECTIONS).map(|_| connection()).collect::<Result<_, String>>()?);
        Ok(())
    }

    async fn start(&self, _: &Context) -> Result<(), String> {
        Ok(())
    }

    async fn trigger(&self, context: Context, (): &mut (), is_measured: bool) -> Outcome {
        // Every worker has been prepared.
        let Some((mut client, _call)) = Connection::least_busy() else {
            return failed("the worker has no connection".to_owned());
        };
        let called = Instant::now();
        match client.trigger(context).await {
            Ok(response) => {
                let response = response.into_inner();
                self.journeys.answered(&response.id);
                if is_measured && let Some(measured) = &self.measured {
                    measured.answered(&response, called.elapsed());
                }
                let outcome = if response.error { failed(response.output) } else { Outcome::default() };
                Outcome { tags: response.tags, ..outcome }
            }
            Err(status) if broke_off(&status) => {
                sleep(BROKEN).await;
                Outcome { thought: BROKEN, ..failed(said(&status)) }
            }
            Err(status) => failed(said(&status)),
        }
    }

    async fn stop(&self, (): ()) {}
}

fn failed(text: String) -> Outcome {
    // Its line has recorded the request.
    let is_recorded = golo::cli::is_request_error(&text);
    let failure = Failure { is_recorded, ..Failure::new(ErrorKind::Returned, text) };
    Outcome { failure: Some(failure), ..Outcome::default() }
}

/// Whether it is no answer: only what is made up on this side has a source.
fn broke_off(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// A call that brought no answer.
fn said(status: &Status) -> String {
    format!("golo.Job/Trigger failed: {}: {}", status.code(), status.message())
}
