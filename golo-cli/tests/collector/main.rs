//! The collector and its database, tested from outside: through the store's public functions, over HTTP, with plain
//! SQL, and with processes that are killed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod costs;
mod databases;
mod http;
mod ingestion;
mod layouts;
mod listed;
mod outputs;
#[cfg(unix)]
mod processes;
mod prune;
mod support;
mod views;
