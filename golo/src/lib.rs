#![doc = include_str!("../README.md")]

#[doc(hidden)]
pub mod __private;
mod adapter;
mod check;
mod client;
pub mod coming_from_go_lo;
mod cookies;
mod erased;
mod error;
mod loadtest;
mod lock;
mod measure;
mod message;
mod output;
mod panic;
mod param;
mod recording;
mod request;
mod runner;
mod runtime;
mod scope;
mod sequence;
mod shared;
mod sink;
mod tags;
mod think;
mod thought;
mod user;

/// The wire: the generated types of `golo.proto`, and client and server of its service `golo.Job`.
pub use golo_proto as pb;
/// The HTTP client, for its types.
pub use reqwest;

pub use adapter::IntoResponse;
pub use check::check;
pub use client::{client, set_client};
pub use error::{BoxError, Error, RequestError};
pub use golo_macros::loadtest;
pub use loadtest::Loadtest;
pub use measure::measure;
pub use output::{Output, OutputRef};
pub use param::param;
pub use pb::{Context, Response, ResponseTag};
pub use request::{IntoRequest, Request, do_request, request};
pub use runner::Runner;
pub use runtime::{Listener, RPC_ADDR, Serve};
pub use scope::spawn;
pub use sequence::{DEFAULT_SEQUENCE_ID, new_sequence_id};
pub use shared::Shared;
pub use sink::Sink;
pub use tags::tagify;
pub use think::{ThinkTime, think};
pub use user::User;
