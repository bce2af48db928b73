//! Wire contract of golo: the messages between a load test and its callers.
//!
//! A load test serves the gRPC service `golo.Job`. Its only method `Trigger` takes a [`Context`] and returns a
//! [`Response`]. [`JobServer`] serves a [`Job`], and [`JobClient`] calls one. Both leave the choice of transport to the
//! caller.
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
//! A load test built with golo also serves [`engine`], which takes a whole plan. [`results`] contains the stored
//! records of a run.
//!
//! A [`Response`] is read in either of the two layouts that existing load tests use: see [`decode_response`]. A
//! [`JobServer`] writes the layout of `golo.proto`, and a [`LaterJobServer`] writes go-lo's last one.

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

/// `golo.engine.v1`: the protocol in which a load test receives a whole plan and reports its measurements.
pub mod engine {
    pub use crate::generated::engine::*;

    /// Latest revision of the protocol that this crate supports. A plan that needs a later one is refused.
    pub const REVISION: u32 = 2;

    /// Earliest revision that this crate supports.
    pub const EARLIEST: u32 = 1;

    /// Returns the lowest revision that supports everything in a plan.
    #[must_use]
    pub fn needs(plan: &Plan) -> u32 {
        // Each field that changes the delivered load must be listed here with the revision that added it.
        let has_scenarios = !plan.scenarios.is_empty() || !plan.only.is_empty();
        if has_scenarios { 2 } else { 1 }
    }

    /// Returns the revision to use with a peer that supports `theirs` and earlier ones, or `None` if there is none in
    /// common. 0 stands for the first.
    #[must_use]
    pub fn spoken_with(theirs: u32) -> Option<u32> {
        let spoken = theirs.clamp(1, REVISION);
        (spoken >= EARLIEST).then_some(spoken)
    }

    /// Encoded `FileDescriptorSet` of `engine.proto`.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/engine.bin");
}

/// `golo.results.v1`: the stored records of a run.
pub mod results {
    pub use crate::generated::results::*;

    /// Encoded `FileDescriptorSet` of `results.proto` and its imports.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/results.bin");
}

pub use codec::decode_response;
pub use generated::golo::job_client::JobClient;
pub use generated::golo::job_server::{Job, JobServer};
pub use generated::golo::{Context, Response, ResponseTag};
pub use later::LaterJobServer;

/// Encoded `FileDescriptorSet` of `golo.proto`, including comments, for gRPC server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/golo.bin");

/// Encoded `FileDescriptorSet` of `golo-later.proto`, for reflection of a [`LaterJobServer`].
pub const LATER_FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/golo-later.bin");
