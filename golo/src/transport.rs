//! Transport of requests to the target: the HTTP client, its connections and proxies, and the allowed targets.

pub(crate) mod attempts;
pub(crate) mod client;
pub(crate) mod connects;
pub(crate) mod http;
pub(crate) mod options;
pub(crate) mod proxy;
pub(crate) mod targets;
