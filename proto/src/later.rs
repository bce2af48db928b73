//! Server of `golo.Job` in go-lo's last layout.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use tonic::{
    Request, Status,
    body::Body,
    codegen::{Body as HttpBody, BoxFuture, Service, StdError, http},
    server::{Grpc, NamedService, UnaryService},
};

use crate::{Context, Job, JobServer, Response, codec::LaterCodec};

/// Serves a [`Job`] in go-lo's last layout of [`Response`]: duration 4, output 5, tags 6.
///
/// Clients that are generated from that layout would read the tags of a [`JobServer`] as text, so they need this
/// server. A [`JobClient`](crate::JobClient) reads both layouts.
///
/// ```
/// use golo_proto::{Context, Job, JobClient, LaterJobServer, Response, ResponseTag};
///
/// struct Tagged;
///
/// #[tonic::async_trait]
/// impl Job for Tagged {
///     async fn trigger(&self, _: tonic::Request<Context>) -> Result<tonic::Response<Response>, tonic::Status> {
///         let tag = ResponseTag { key: "status".to_owned(), value: "200".to_owned() };
///         Ok(tonic::Response::new(Response { tags: vec![tag], ..Response::default() }))
///     }
/// }
///
/// # async fn call() -> Result<(), tonic::Status> {
/// let response = JobClient::new(LaterJobServer::new(Tagged)).trigger(Context::default()).await?;
/// assert_eq!(response.into_inner().tags[0].value, "200");
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(call()).unwrap();
/// ```
#[derive(Debug)]
pub struct LaterJobServer<T>(Arc<T>);

impl<T> LaterJobServer<T> {
    /// Creates a server for `job`.
    pub fn new(job: T) -> Self {
        Self(Arc::new(job))
    }
}

impl<T> Clone for LaterJobServer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> NamedService for LaterJobServer<T> {
    const NAME: &'static str = JobServer::<T>::NAME;
}

impl<T: Job, B> Service<http::Request<B>> for LaterJobServer<T>
where
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let method = Trigger(Arc::clone(&self.0));
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/golo.Job/Trigger" => Grpc::new(LaterCodec).unary(method, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

struct Trigger<T>(Arc<T>);

impl<T: Job> UnaryService<Context> for Trigger<T> {
    type Response = Response;
    type Future = BoxFuture<tonic::Response<Response>, Status>;

    fn call(&mut self, request: Request<Context>) -> Self::Future {
        let job = Arc::clone(&self.0);
        Box::pin(async move { job.trigger(request).await })
    }
}
