#![doc = include_str!("../README.md")]
//!
//! ## Pages
//!
//! | page | contents |
//! |---|---|
//! | [`choosing_a_model`] | users or a rate: the load model to use for each question |
//! | [`connections_and_http_versions`] | what a user is on the network, phases of a request, proxies, TLS, how to load a balancer |
//! | [`data_and_correlation`] | values from responses for the requests that follow; forms, GraphQL, gRPC, WebSockets, SQL |
//! | [`reading_the_report`] | the meaning of the figures in a summary and a page, and what to do about them |
//! | [`metrics_tags_and_groups`] | metrics of your own, tags of requests, and groups: recording, reports, thresholds, limits |
//! | [`naming_routes`] | how requests are grouped into routes |
//! | [`scenarios`] | several kinds of users: weights, loads of their own, users, thresholds |
//! | [`thresholds_in_ci`] | pass and fail criteria of a run, and their use in a pipeline |
//! | [`coming_from_k6`], [`coming_from_locust`], [`coming_from_goose`] | each concept of another tool, and the lines that replace it |
//! | [`coming_from_go_lo`] | the names of go-lo and their counterparts in golo |
//!
//! ## Features
//!
//! | feature | adds |
//! |---|---|
//! | `cookies` (on) | a cookie jar for each user; each request costs less without it |
//! | `css` | [`extract`]: values from HTML by CSS selectors |
//! | `feed` | `golo::feed` and `golo::Feed`: rows of test data from CSV and JSON files |
//! | `grpc` | `golo::grpc_layer`: calls of tonic clients, measured as requests |
//! | `html` | `--out html=FILE.html`: the report as a page with charts |
//! | `mimalloc` | the allocator mimalloc, which makes requests cheaper |
//! | `reflection` | gRPC server reflection, so that `grpcurl` needs no `.proto` file |
//! | `regex` | [`extract`]: values from any text by regular expressions |
//! | `websocket` | `golo::websocket`: WebSockets, measured as steps |
//! | `http3` | `--http 3`: requests over HTTP/3 |
//! | `gzip`, `brotli`, `deflate`, `zstd`, `charset`, `form`, `multipart`, `query`, `socks`, `stream`, `system-proxy` | the features of [`reqwest`] with these names |
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
pub mod __private;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod engine;
mod error;
pub mod extract;
mod loadtest;
mod metrics;
#[cfg(any(feature = "grpc", feature = "websocket"))]
mod protocol;
#[doc(hidden)]
pub mod report;
mod request;
#[doc(hidden)]
pub mod run_loop;
mod runtime;
mod support;
mod transport;
mod user;
#[doc(hidden)]
pub mod wire;

pub mod choosing_a_model {
    #![doc = include_str!("../docs/choosing-a-model.md")]
}
pub mod coming_from_go_lo {
    #![doc = include_str!("../docs/coming-from-go-lo.md")]
}
pub mod coming_from_goose {
    #![doc = include_str!("../docs/coming-from-goose.md")]
}
pub mod coming_from_k6 {
    #![doc = include_str!("../docs/coming-from-k6.md")]
}
pub mod coming_from_locust {
    #![doc = include_str!("../docs/coming-from-locust.md")]
}
pub mod connections_and_http_versions {
    #![doc = include_str!("../docs/connections-and-http-versions.md")]
}
pub mod data_and_correlation {
    #![doc = include_str!("../docs/data-and-correlation.md")]
}
pub mod metrics_tags_and_groups {
    #![doc = include_str!("../docs/metrics-tags-and-groups.md")]
}
pub mod naming_routes {
    #![doc = include_str!("../docs/naming-routes.md")]
}
pub mod reading_the_report {
    #![doc = include_str!("../docs/reading-the-report.md")]
}
pub mod scenarios {
    #![doc = include_str!("../docs/scenarios.md")]
}
pub mod thresholds_in_ci {
    #![doc = include_str!("../docs/thresholds-in-ci.md")]
}

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Types generated from `golo.proto`, and the client and server of its service `golo.Job`.
pub use golo_proto as pb;
/// The HTTP client crate, re-exported for its types.
pub use reqwest;

pub use error::{BoxError, Error, RequestError};
pub use golo_macros::{loadtest, scenario};
pub use loadtest::{Loadtest, adapter::IntoResponse, param::param, runner::Runner, scenario::Scenario};
pub use metrics::check::check;
pub use metrics::connection::{ConnectionEvent, Handshake, HttpVersion};
pub use metrics::custom::{Counter, Gauge, MetricKind, MetricSample, Number, Rate, Trend, counter, gauge, rate, trend};
pub use metrics::group::{GroupSample, group};
pub use metrics::output::{Output, OutputRef};
pub use metrics::phases::Phases;
pub use metrics::scope::spawn;
pub use metrics::sequence::{DEFAULT_SEQUENCE_ID, new_sequence_id};
pub use metrics::sink::Sink;
pub use metrics::tag_set::RequestTags;
pub use metrics::tags::{tag, tagify};
pub use pb::{Context, Response, ResponseTag};
#[cfg(feature = "grpc")]
#[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
pub use protocol::grpc::{GrpcBody, GrpcLayer, GrpcService, grpc_layer};
#[cfg(feature = "websocket")]
#[cfg_attr(docsrs, doc(cfg(feature = "websocket")))]
pub use protocol::websocket;
pub use request::expect::{Expected, Received};
pub use request::measure::measure;
pub use request::{IntoRequest, Request, do_request, request};
pub use runtime::{Listener, RPC_ADDR, Serve, WireLayout};
pub use transport::client::{client, set_client};
pub use transport::http::{Http, Identity, IntoHttp, set_http};
pub use transport::options::{TlsVersion, Versions};
pub use user::User;
#[cfg(feature = "feed")]
#[cfg_attr(docsrs, doc(cfg(feature = "feed")))]
pub use user::feed::{Feed, feed};
pub use user::shared::Shared;
pub use user::think::{ThinkTime, think};
