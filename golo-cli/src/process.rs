//! The load test as a process: found, started under a supervisor, limited and stopped.

pub mod limits;
pub mod load_test;
pub mod port_owner;
pub mod signature;
pub mod supervisor;
