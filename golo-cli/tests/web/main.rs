//! The web page: who may open it and steer a run, its events, and the pages of stored runs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod events;
mod guards;
mod orders;
mod sessions;
mod stored;

mod support;
