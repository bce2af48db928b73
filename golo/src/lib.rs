#![doc = include_str!("../README.md")]
//!
//! ## Pages
//!
//! | page | answers |
//! |---|---|
//! | [`choosing_a_model`] | users or a rate: which kind of load answers which question |
//! | [`reading_the_report`] | what the figures of a summary and of a page mean, and what to do about them |
//! | [`naming_routes`] | how requests are grouped into routes |
//! | [`thresholds_in_ci`] | what a run must keep to, and how a pipeline uses it |
//! | [`coming_from_go_lo`] | every name of go-lo, and what it is here |
//!
//! ## Features
//!
//! | feature | adds |
//! |---|---|
//! | `cookies` (on) | a jar of cookies for each user; without it each request costs less |
//! | `feed` | `golo::feed` and `golo::Feed`: rows of test data from CSV and JSON files |
//! | `html` | `--out html=FILE.html`: the report as a page with charts |
//! | `mimalloc` | the allocator mimalloc, which makes requests cheaper |
//! | `reflection` | gRPC server reflection, so that `grpcurl` needs no `.proto` file |
//! | `gzip`, `brotli`, `deflate`, `zstd`, `charset`, `form`, `multipart`, `query`, `socks`, `stream`, `system-proxy` | the features of [`reqwest`] with these names |
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
pub mod __private;
mod adapter;
mod attempts;
mod check;
pub mod choosing_a_model;
#[doc(hidden)]
pub mod cli;
mod client;
mod clock;
pub mod coming_from_go_lo;
mod connects;
mod cookies;
#[doc(hidden)]
pub mod engine;
mod erased;
mod error;
mod expect;
#[cfg(feature = "feed")]
mod feed;
mod journey;
mod loadtest;
mod lock;
mod measure;
mod member;
mod message;
pub mod naming_routes;
mod nearest;
mod output;
mod panic;
mod param;
mod proxy;
pub mod reading_the_report;
mod recording;
#[doc(hidden)]
pub mod report;
mod request;
mod runner;
mod runtime;
mod scope;
mod secrets;
mod sequence;
mod shared;
mod sink;
mod tags;
mod targets;
mod think;
mod thought;
pub mod thresholds_in_ci;
mod until;
mod upload;
mod user;
#[doc(hidden)]
pub mod wire;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The wire: the generated types of `golo.proto`, and client and server of its service `golo.Job`.
pub use golo_proto as pb;
/// The HTTP client, for its types.
pub use reqwest;

pub use adapter::IntoResponse;
pub use check::check;
pub use client::{client, set_client};
pub use error::{BoxError, Error, RequestError};
pub use expect::{Expected, Received};
#[cfg(feature = "feed")]
#[cfg_attr(docsrs, doc(cfg(feature = "feed")))]
pub use feed::{Feed, feed};
pub use golo_macros::loadtest;
pub use loadtest::Loadtest;
pub use measure::measure;
pub use output::{Output, OutputRef};
pub use param::param;
pub use pb::{Context, Response, ResponseTag};
pub use request::{IntoRequest, Request, do_request, request};
pub use runner::Runner;
pub use runtime::{Listener, RPC_ADDR, Serve, WireLayout};
pub use scope::spawn;
pub use sequence::{DEFAULT_SEQUENCE_ID, new_sequence_id};
pub use shared::Shared;
pub use sink::Sink;
pub use tags::tagify;
pub use think::{ThinkTime, think};
pub use user::User;
