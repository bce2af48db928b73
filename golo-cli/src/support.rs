//! Small helpers for all other modules.

pub mod environment;
pub mod moments;
