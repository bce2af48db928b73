//! HTTP pieces that agent, collector and fleet share.

pub mod client;
pub mod server;

/// The usual port of a collector.
pub(crate) const COLLECTOR_PORT: u16 = 8082;

/// Maximum size in bytes of the records in one call to a collector.
pub const COLLECTOR_CALL: usize = 16 << 20;
