//! Small helpers that every other folder may use.

pub mod environment;
pub mod moments;
