//! Results of runs: stored in a database, replayed, listed and compared.

pub mod archive;
pub mod compare;
pub mod keep;
pub mod listed;
pub mod pieces;
pub mod readers;
pub mod replay;
pub mod squeezed;
pub mod store;
