//! `html=`: the page of a run, as it is written, and as a browser shows it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod browsed;
mod browser;
mod cost;
mod made;
mod read;
mod written;
