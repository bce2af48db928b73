//! Transport of requests to the target.
//!
//! ```text
//! request/by_transport -> exchange -> pool -> connect: DNS, TCP, proxy, TLS
//!                            |          `---> http1, http2, http3: one connection each
//!                            `--> sent again if the server did not process it
//! ```
//!
//! A load test that configures a reqwest client of its own bypasses this: `client` has that client.

pub(crate) mod attempts;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod connect;
pub(crate) mod connects;
pub(crate) mod decoding;
mod dns;
pub(crate) mod exchange;
pub(crate) mod http;
mod http1;
mod http2;
#[cfg(feature = "http3")]
mod http3;
pub(crate) mod io;
pub(crate) mod message;
mod multiplexed;
pub(crate) mod options;
mod origin;
pub(crate) mod pool;
pub(crate) mod proxy;
pub(crate) mod settings;
pub(crate) mod targets;
mod tls;
