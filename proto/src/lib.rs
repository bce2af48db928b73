//! The wire contract of golo: what a load test and whatever triggers it say
//! to each other.
//!
//! A load test serves the gRPC service `golo.Job`, whose one method `Trigger`
//! takes a [`Context`] and gives back a [`Response`]. [`JobServer`] serves a
//! [`Job`], [`JobClient`] calls one; both leave the choice of transport to
//! the caller.
//!
//! ```
//! use golo_proto::{Context, Job, JobClient, JobServer, Response};
//! use tonic::{Request, Status};
//!
//! struct Hello;
//!
//! #[tonic::async_trait]
//! impl Job for Hello {
//!     async fn trigger(
//!         &self,
//!         request: Request<Context>,
//!     ) -> Result<tonic::Response<Response>, Status> {
//!         Ok(tonic::Response::new(Response {
//!             job_name: request.into_inner().job_name,
//!             output: "hello".to_owned(),
//!             ..Response::default()
//!         }))
//!     }
//! }
//!
//! # async fn call() -> Result<(), Status> {
//! // Without a network: the client talks to the server directly.
//! let mut client = JobClient::new(JobServer::new(Hello));
//! let response = client.trigger(Context::default()).await?.into_inner();
//! assert_eq!(response.output, "hello");
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(call()).unwrap();
//! ```
//!
//! A load test built with golo serves [`engine`] beside it, which takes a whole
//! plan. [`results`] is what is kept of a run.
//!
//! A [`Response`] is always written in one layout and read in either of the
//! two that load tests out there use: see [`decode_response`].

mod codec;

mod generated {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    #[rustfmt::skip]
    pub mod engine;
    #[rustfmt::skip]
    pub mod golo;
    #[rustfmt::skip]
    pub mod results;
}

/// `golo.engine.v1`: how a load test is handed a whole plan, and tells what it
/// measured.
pub mod engine {
    pub use crate::generated::engine::*;

    /// The revision of the protocol that this crate knows. A plan that needs a
    /// later one is refused.
    pub const REVISION: u32 = 1;

    /// The encoded `FileDescriptorSet` of `engine.proto`.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/engine.bin");
}

/// `golo.results.v1`: what is kept of a run, record by record.
pub mod results {
    pub use crate::generated::results::*;

    /// The encoded `FileDescriptorSet` of `results.proto` and what it imports.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/results.bin");
}

pub use codec::decode_response;
pub use generated::golo::job_client::JobClient;
pub use generated::golo::job_server::{Job, JobServer};
pub use generated::golo::{Context, Response, ResponseTag};

/// The encoded `FileDescriptorSet` of `golo.proto`, comments included: what a
/// server hands to gRPC server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/golo.bin");
