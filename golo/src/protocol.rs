//! Protocols other than plain HTTP requests: gRPC as requests, and WebSockets as measured steps.

#[cfg(feature = "grpc")]
pub(crate) mod grpc;
#[cfg(feature = "websocket")]
pub mod websocket;
