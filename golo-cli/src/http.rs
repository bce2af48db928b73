//! HTTP pieces that agent, collector and fleet share.

pub mod client;
pub mod server;

/// The usual port of a collector.
pub(crate) const COLLECTOR_PORT: u16 = 8082;
