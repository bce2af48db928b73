//! A plain gRPC client of `golo.Job`.

use golo::{Context, Response, pb::JobClient};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::within;

/// Opens one connection to `HOST:PORT` or `unix:PATH`.
pub async fn connect(address: &str) -> Channel {
    let connected = match address.strip_prefix("unix:") {
        Some(path) => {
            let path = path.to_owned();
            let connector = tower::service_fn(move |_| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            });
            within("a connection", Endpoint::from_static("http://localhost").connect_with_connector(connector)).await
        }
        None => {
            let endpoint = Endpoint::try_from(format!("http://{address}")).unwrap();
            within("a connection", endpoint.connect()).await
        }
    };
    connected.unwrap_or_else(|error| panic!("{address}: {error:?}"))
}

/// Returns the context of a caller without users and iterations.
pub fn job(name: &str) -> Context {
    Context { job_name: name.to_owned(), ..Context::default() }
}

/// Returns the context of a user's trigger.
pub fn context(name: &str, user: u64, iteration: u64) -> Context {
    Context { job_name: name.to_owned(), user: Some(user), iteration: Some(iteration), scenario: None }
}

/// Triggers the load test behind `channel`.
///
/// # Errors
///
/// Returns a gRPC error. A load test that fails is a `Response`, not an error.
pub async fn trigger(channel: &Channel, context: Context) -> Result<Response, Status> {
    let mut client = JobClient::new(channel.clone());
    within("a response", client.trigger(context)).await.map(tonic::Response::into_inner)
}
