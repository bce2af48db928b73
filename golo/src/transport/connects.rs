//! How long golo's client takes to make a connection: lookup, TCP and TLS, from where reqwest lets it be seen.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use tower_layer::Layer;
use tower_service::Service;

use crate::{metrics::scope, transport::attempts};

/// A layer round the client's connector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeConnects;

impl<S> Layer<S> for TimeConnects {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Timed<S> {
        Timed(Arc::new(inner))
    }
}

/// The connector, with a watch. reqwest clones it several times a request, so that is cheap.
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
        // The request's; the connecting may go on without it, for another.
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
