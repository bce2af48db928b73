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
//! A [`Response`] is read in either of the two layouts that load tests out
//! there use: see [`decode_response`]. A [`JobServer`] writes that of
//! `golo.proto`, a [`LaterJobServer`] go-lo's last one.

mod codec;
mod later;

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

    /// The latest revision of the protocol that this crate knows. A plan that
    /// needs a later one is refused.
    pub const REVISION: u32 = 1;

    /// The earliest one that it still speaks.
    pub const EARLIEST: u32 = 1;

    /// The lowest revision that understands everything in a plan.
    #[must_use]
    pub fn needs(_: &Plan) -> u32 {
        // Each field that changes what is delivered names here the revision it
        // came with.
        1
    }

    /// The revision that is spoken with whoever understands `theirs` and those
    /// before it, of which 0 stands for the first; none where there is none.
    #[must_use]
    pub fn spoken_with(theirs: u32) -> Option<u32> {
        let spoken = theirs.clamp(1, REVISION);
        (spoken >= EARLIEST).then_some(spoken)
    }

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
pub use later::LaterJobServer;

/// The encoded `FileDescriptorSet` of `golo.proto`, comments included: what a
/// server hands to gRPC server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/golo.bin");

/// The encoded `FileDescriptorSet` of `golo-later.proto`: the same for what a
/// [`LaterJobServer`] serves.
pub const LATER_FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/golo-later.bin");
