//! The `golo` command, as a library: what its binary and its tests are made of.
//!
//! Nothing else may use it: it changes without notice.

#[cfg(not(unix))]
compile_error!("the command `golo` needs Unix; a load test itself, its `run` and `serve`, works without it");

pub mod agent;
pub mod archive;
pub mod arguments;
pub mod collector;
mod command;
pub mod compare;
pub mod driven;
pub mod engine_client;
pub mod environment;
pub mod fleet;
pub mod http_client;
pub mod http_server;
pub mod job_client;
pub mod journeys;
pub mod keep;
pub mod limits;
pub mod line_reader;
pub mod listed;
pub mod load_test;
pub mod merged;
pub mod moments;
pub mod new_crate;
pub mod passing;
pub mod port_owner;
pub mod pusher;
pub mod replay;
pub mod run_end;
pub mod runs;
pub mod served;
pub mod show;
pub mod store;
pub mod submit;
pub mod supervisor;
pub mod way;
pub mod yaml;

pub use command::main;
