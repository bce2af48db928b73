//! Small helpers for all other modules.

pub mod environment;
pub mod failure;
pub mod moments;
pub mod runtime;
pub mod squeezed;
