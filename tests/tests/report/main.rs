//! Reports of a run: on a terminal, in a pipe and in files, and the exit code.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod aborting;
mod call;
mod dead_targets;
mod documentation;
mod exit_codes;
mod failures;
mod files;
mod job_files;
mod junit;
mod losses;
mod numbers;
mod others;
mod percentiles;
mod rates;
mod reasons;
mod schema;
mod screen;
mod strays;
mod streams;
mod terminal;
