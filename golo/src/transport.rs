//! What carries requests to the target: the HTTP client, its connections and proxies, and which targets are allowed.

pub(crate) mod attempts;
pub(crate) mod client;
pub(crate) mod connects;
pub(crate) mod proxy;
pub(crate) mod targets;
