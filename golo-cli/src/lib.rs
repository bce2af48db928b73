//! Implementation of the `golo` command, as a library that its binary and its tests share.
//!
//! It is not a public interface: it changes without notice.

#[cfg(not(unix))]
compile_error!("the command `golo` needs Unix; a load test itself, its `run` and `serve`, works without it");

pub mod agent;
pub mod cli;
pub mod collector;
pub mod drive;
pub mod fleet;
pub mod http;
pub mod nats;
pub mod outputs;
pub mod process;
pub mod results;
pub mod support;
pub mod web;

pub use cli::command::main;
