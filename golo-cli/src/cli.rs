//! The command line: the types that clap parses, and one file per command.

pub mod agents;
pub mod arguments;
pub mod attach;
pub mod command;
pub mod compare;
mod followed;
pub mod members;
pub mod new_crate;
pub mod run;
pub mod runs;
pub mod show;
pub mod sign;
pub mod submit;
pub mod yaml;
