//! Calls of tonic clients, measured by a tower layer.

mod body;
mod call;
mod framing;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

pub use body::GrpcBody;

use self::body::Counted;
use self::call::Call;
use crate::BoxError;
use crate::metrics::{scope, trace};
use crate::support::secrets::without_credentials;

/// Returns a layer that measures each call of a tonic client as a request of the journey `id`.
///
/// [`GrpcLayer::wrap`] puts it around a channel. That is cheap, so a trigger with a journey of its own wraps the channel
/// anew:
///
/// ```no_run
/// use tonic::transport::Channel;
/// # mod pb {
/// #     pub use golo::pb::JobClient as GreeterClient;
/// #     pub use golo::pb::Context as HelloRequest;
/// # }
/// use pb::{GreeterClient, HelloRequest};
///
/// # async fn load_test(channel: Channel) -> Result<(), golo::BoxError> {
/// let journey = golo::new_sequence_id();
/// let grpc = golo::grpc_layer(&journey).origin("http://127.0.0.1:50051");
/// let mut client = GreeterClient::new(grpc.wrap(channel));
/// # let say_hello = client.trigger(HelloRequest::default());
/// # say_hello.await?;
/// # Ok(()) }
/// ```
///
/// A call ends when its status arrives, after the last message of a stream. Its [`Output`](crate::Output) has the method
/// `POST`, the route `/package.Service/Method`, the status of HTTP, which is 200, and the bytes of its messages with
/// their prefixes, as they are sent (`sent`) and received (`size`). The waiting time lasts until the response's headers.
///
/// A status other than `OK` fails the request, with the error `content: grpc status 5 not found: reason`. A call without
/// a status has the kind of its failure: `dns`, `connect`, `tls`, `timeout`, `reset`, `body` or `other`. If the client
/// does not accept the response, for example because a message is over its limit, the kind is `body`. A call that is
/// dropped before it ends, or whose stream is, has the error `cancelled`. A status of HTTP from 400 on, for example of a
/// proxy, fails the request in any case.
///
/// The channel is the load test's own. It has its own connections, and golo's options for connections and TLS do not
/// apply to it.
#[must_use]
pub fn grpc_layer(id: &str) -> GrpcLayer {
    GrpcLayer { id: id.into(), origin: None }
}

/// A layer made by [`grpc_layer`], which has an example.
#[derive(Debug, Clone)]
pub struct GrpcLayer {
    id: Arc<str>,
    origin: Option<Arc<str>>,
}

impl GrpcLayer {
    /// Names the server in lines and reports, as in `http://127.0.0.1:50051`. Nothing is sent there because of it.
    ///
    /// A tonic client names the server in its requests only if it was made by its function `with_origin`.
    #[must_use]
    pub fn origin(mut self, url: &str) -> Self {
        self.origin = Some(without_credentials(url.trim_end_matches('/')).into());
        self
    }

    /// Puts the layer around a service, such as a `tonic::transport::Channel`. [`Layer::layer`] does the same.
    #[must_use]
    pub fn wrap<S>(&self, service: S) -> GrpcService<S> {
        GrpcService { inner: service, layer: self.clone() }
    }
}

impl<S> Layer<S> for GrpcLayer {
    type Service = GrpcService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        self.wrap(inner)
    }
}

/// A service whose calls are measured, made by a [`GrpcLayer`].
#[derive(Debug, Clone)]
pub struct GrpcService<S> {
    inner: S,
    layer: GrpcLayer,
}

impl<S, B> Service<http::Request<Body>> for GrpcService<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body + Unpin,
{
    type Response = http::Response<GrpcBody<B>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // The service that is ready is the one to call.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let GrpcLayer { id, origin } = self.layer.clone();
        let scope = scope::current();
        let sink = scope::sink_of(scope.as_deref());
        // The body may end outside of the group that the call is made in.
        let tags = scope::tags(scope.as_deref());
        if let Some(scope) = &scope {
            scope.note_sequence(&id);
        }
        Box::pin(async move {
            if let Some(room) = scope::room(&*sink, scope.as_deref()) {
                room.await;
            }
            let trace = trace::add(request.headers_mut(), &id, scope.as_deref());
            let call = Call::start(id, origin.as_deref(), request.uri(), sink, scope).with_tags(tags).traced(trace);
            let request = request.map(|body| Body::new(Counted::new(body, call.sent())));
            let response = match inner.call(request).await {
                Ok(response) => response,
                Err(error) => return Err(call.fail(error.into())),
            };
            let (mut head, body) = response.into_parts();
            let body = GrpcBody::new(body, call.respond(&mut head));
            Ok(http::Response::from_parts(head, body))
        })
    }
}
