//! The command line: the types that clap parses, and one file per command.

pub mod agents;
pub mod arguments;
pub mod command;
pub mod compare;
pub mod members;
pub mod new_crate;
pub mod run;
pub mod runs;
pub mod show;
pub mod sign;
pub mod submit;
pub mod yaml;
