//! Time that golo's client takes to make a connection, as far as reqwest shows it: lookup, TCP and TLS.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tower_layer::Layer;
use tower_service::Service;

use crate::{metrics::scope, transport::attempts};

/// A layer around the client's connector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeConnects;

impl<S> Layer<S> for TimeConnects {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Timed<S> {
        Timed(Arc::new(inner))
    }
}

/// The connector with a timer. reqwest clones it several times per request, so cloning is cheap.
#[derive(Debug)]
pub(crate) struct Timed<S>(Arc<S>);

impl<S> Clone for Timed<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S, Target> Service<Target> for Timed<S>
where
    S: Service<Target> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    Target: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Target) -> Self::Future {
        // The sink of this request. The connecting may continue without the request and serve another one.
        let sink = scope::sink_of(scope::current().as_deref());
        attempts::connecting(true);
        let mut connector = S::clone(&self.0);
        Box::pin(async move {
            let started = Instant::now();
            poll_fn(|context| connector.poll_ready(context)).await?;
            let connection = connector.call(target).await?;
            attempts::connecting(false);
            sink.connected(started.elapsed());
            Ok(connection)
        })
    }
}
