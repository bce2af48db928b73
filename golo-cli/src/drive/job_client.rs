//! The client of `golo.Job`: triggers a load test that another process serves.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use golo::Context;
use golo::engine::errors::ErrorKind;
use golo::engine::mix::Mix;
use golo::engine::recorder::RecorderSink;
use golo::engine::trigger::{Failure, Outcome, Trigger};
use golo::pb::JobClient;
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, time::sleep};
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Error, Uri};
use tower::service_fn;

use crate::drive::journeys::OpenJourneys;

/// Connections of each worker. One connection for each call in flight would cost six times as much as many calls on few
/// connections.
const CONNECTIONS: usize = 4;
/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Pause after a call that broke off. It usually broke off because the load test died, and the run ends soon. Without
/// the pause, users would fail as fast as they can until then.
const BROKEN: Duration = Duration::from_secs(1);

thread_local! {
    /// Connections of one worker. They belong to the worker's runtime.
    static CONNECTED: RefCell<Vec<Connection>> = const { RefCell::new(Vec::new()) };
}

/// A connection to the load test.
struct Connection {
    client: JobClient<Channel>,
    /// Reference count of the calls in flight, each of which holds a clone.
    calls: Arc<()>,
}

impl Connection {
    /// Returns the connection with the fewest calls in flight, and a guard that the new call must hold. Users whose
    /// calls were answered together then call together on the same connection again. Taking turns would cost three
    /// times as many writes and reads.
    fn least_busy() -> Option<(JobClient<Channel>, Arc<()>)> {
        CONNECTED.with_borrow(|connected| {
            let least = connected.iter().min_by_key(|connection| Arc::strong_count(&connection.calls))?;
            Some((least.client.clone(), Arc::clone(&least.calls)))
        })
    }
}

/// Address of a served load test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Socket(PathBuf),
    /// A host and a port.
    Tcp(String),
}

impl Address {
    /// Creates a connection that is established when it is first used.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is invalid.
    pub fn channel(&self) -> Result<Channel, Error> {
        Ok(match self {
            Self::Tcp(address) => endpoint(address)?.connect_lazy(),
            Self::Socket(path) => {
                let path = path.clone();
                endpoint("localhost")?.connect_with_connector_lazy(service_fn(move |_: Uri| connect(path.clone())))
            }
        })
    }

    /// Returns true if a server accepts connections at the address.
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

/// A load test that is triggered over `golo.Job`.
pub struct ServedJob {
    address: Address,
    journeys: Arc<OpenJourneys>,
    measured: Option<Arc<RecorderSink>>,
}

impl ServedJob {
    /// Creates a client of the load test at `address`. Each answer ends the open journey of its trigger.
    #[must_use]
    pub fn new(address: Address, journeys: Arc<OpenJourneys>) -> Self {
        Self { address, journeys, measured: None }
    }

    /// Records requests in `measured` from the tags of responses, for load tests that print no `Output`.
    #[must_use]
    pub fn measured_by_tags(self, measured: Arc<RecorderSink>) -> Self {
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

    async fn start(&self, _: &Context, _: &Mix) -> Result<(), String> {
        Ok(())
    }

    async fn trigger(&self, context: Context, (): &mut (), is_measured: bool) -> Outcome {
        // `prepare` has run on every worker.
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
                Outcome { thought: BROKEN, ..failed(error_message(&status)) }
            }
            Err(status) => failed(error_message(&status)),
        }
    }

    async fn stop(&self, (): ()) {}
}

fn failed(text: String) -> Outcome {
    // An output line has recorded the failed request already.
    let is_recorded = golo::cli::is_request_error(&text);
    let failure = Failure { is_recorded, ..Failure::new(ErrorKind::Returned, text) };
    Outcome { failure: Some(failure), ..Outcome::default() }
}

/// Returns true if the call got no answer. Only an error of this side of the connection has a source.
fn broke_off(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// Returns the error message of a failed call.
fn error_message(status: &Status) -> String {
    format!("golo.Job/Trigger failed: {}: {}", status.code(), status.message())
}
