//! The `golo` command, as a library: what its binary and its tests are made of.
//!
//! Nothing else may use it: it changes without notice.

#[cfg(not(unix))]
compile_error!("the command `golo` needs Unix; a load test itself, its `run` and `serve`, works without it");

pub mod agent;
pub mod cli;
pub mod collector;
pub mod drive;
pub mod fleet;
pub mod http;
pub mod process;
pub mod results;
pub mod support;

pub use cli::command::main;
